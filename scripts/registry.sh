#!/usr/bin/env bash
# Apicurio Registry on this machine, for the tests that need a schema registry which is not ours.
#
#   scripts/registry.sh run COMMAND…   start one in memory, run COMMAND with DAYBREAK_TEST_REGISTRY naming
#                                      its Confluent API, stop it
#   scripts/registry.sh fetch          only fetch it
#
# Needs bash, Java 17 or later and, once, Maven (142 MB). Variables: REGISTRY_JARS (cache), REGISTRY_PORT
# (default the first free one from 19281 on), REGISTRY_HEAP (default 128m).
set -euo pipefail

version=2.6.13.Final
jars=${REGISTRY_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/daybreak/apicurio-$version}
start_seconds=90

die() { echo "registry.sh: $*" >&2; exit 1; }

fetch() {
  [ -f "$jars/complete" ] && return
  command -v java >/dev/null || die "no java found: install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless)"
  command -v mvn >/dev/null || die "no mvn found, which fetches the registry: install Maven (Debian: apt-get install maven)"
  echo "fetching Apicurio Registry $version (142 MB, once) into $jars" >&2
  rm -rf "$jars" && mkdir -p "$jars"
  mvn -q -B -C -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$jars" \
    -Dartifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all >&2 || die "it could not be fetched: is the network up, and Maven's settings right?"
  tar -xzf "$jars"/*.tar.gz -C "$jars" && rm "$jars"/*.tar.gz
  touch "$jars/complete"
}

taken() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# answers PORT: the Confluent API lists its subjects.
answers() {
  local reply
  reply=$( {
    exec 9<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&9
    timeout 2 head -n 1 <&9
  } 2>/dev/null ) || return 1
  [[ $reply == *" 200 "* ]]
}

run() {
  [ $# -gt 0 ] || die "run takes a command"
  fetch
  local port=${REGISTRY_PORT:-19281} log pid end result=0
  until ! taken "$port"; do
    [ -z "${REGISTRY_PORT:-}" ] || die "port $port is taken by another program"
    port=$((port + 1))
  done
  log=$(mktemp)
  setsid java "-Xmx${REGISTRY_HEAP:-128m}" -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" -cp "$jars/*:$jars/lib/*" \
    io.quarkus.runner.GeneratedMain </dev/null >"$log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  pid=$!
  trap 'kill $pid 2>/dev/null || true; rm -f "$log"' EXIT
  end=$((SECONDS + start_seconds))
  until answers "$port"; do
    kill -0 $pid 2>/dev/null || die "the registry ended: $(tail -n 3 "$log")"
    ((SECONDS < end)) || die "the registry does not answer after $start_seconds s: $(tail -n 3 "$log")"
    sleep 0.2
  done
  DAYBREAK_TEST_REGISTRY=http://127.0.0.1:$port/apis/ccompat/v7 "$@" || result=$?
  exit $result
}

case ${1:-} in
  run) shift && run "$@" ;;
  fetch) fetch ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
