#!/usr/bin/env bash
# A real Keycloak on this machine, for a look at the sign-on: loopback, no docker, from Maven Central.
#
#   scripts/keycloak.sh fetch          only fetch it (180 MB, once)
#   scripts/keycloak.sh run COMMAND…   start one with a realm of its own, run COMMAND with DAYBREAK_TEST_ISSUER
#                                      naming it, and stop it
#
# Needs bash, curl, unzip, Java 17 or later and, once, Maven. Variables: KEYCLOAK_CACHE (default beside the user's
# caches), KEYCLOAK_PORT (default 18080). The realm "daybreak" has a public client "daybreak" and the user mia,
# password mia, in the group traders.
set -euo pipefail

version=26.7.3
cache=${KEYCLOAK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/daybreak/keycloak-$version}
port=${KEYCLOAK_PORT:-18080}
start_seconds=240

die() { echo "keycloak.sh: $*" >&2; exit 1; }

fetch() {
  [ -x "$cache/keycloak-$version/bin/kc.sh" ] && return
  command -v mvn >/dev/null || die "no mvn found, which fetches Keycloak: install Maven (Debian: apt-get install maven)"
  command -v unzip >/dev/null || die "no unzip found"
  echo "fetching Keycloak $version (180 MB, once) into $cache" >&2
  mkdir -p "$cache"
  mvn -q -B -C org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip -DoutputDirectory="$cache" >&2 || die "it could not be fetched: is the network up?"
  unzip -q -o "$cache/keycloak-quarkus-dist-$version.zip" -d "$cache"
}

realm() {
  cat <<'JSON'
{"realm":"daybreak","enabled":true,"sslRequired":"none",
 "groups":[{"name":"traders"}],
 "users":[{"username":"mia","enabled":true,"email":"mia@example.com","emailVerified":true,"firstName":"Mia","lastName":"M",
   "credentials":[{"type":"password","value":"mia"}],"groups":["/traders"]}],
 "clients":[{"clientId":"daybreak","enabled":true,"publicClient":true,"standardFlowEnabled":true,
   "redirectUris":["http://127.0.0.1/*","http://127.0.0.1:8080/*"],
   "protocolMappers":[{"name":"groups","protocol":"openid-connect","protocolMapper":"oidc-group-membership-mapper",
     "config":{"claim.name":"groups","full.path":"false","id.token.claim":"true","access.token.claim":"false","userinfo.token.claim":"false"}}]}]}
JSON
}

run() {
  fetch
  home=$(mktemp -d)
  cp -r "$cache/keycloak-$version/." "$home"
  mkdir -p "$home/data/import" && realm >"$home/data/import/daybreak.json"
  JAVA_OPTS_APPEND="-Xmx512m" "$home/bin/kc.sh" start-dev --http-host=127.0.0.1 --http-port="$port" --import-realm >"$home/log" 2>&1 &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$home"' EXIT
  issuer=http://127.0.0.1:$port/realms/daybreak
  for ((i = 0; i < start_seconds; i++)); do
    curl -fsS "$issuer/.well-known/openid-configuration" >/dev/null 2>&1 && break
    kill -0 "$server" 2>/dev/null || { tail -20 "$home/log" >&2; die "Keycloak ended"; }
    sleep 1
  done
  curl -fsS "$issuer/.well-known/openid-configuration" >/dev/null || { tail -20 "$home/log" >&2; die "Keycloak does not answer after $start_seconds s"; }
  DAYBREAK_TEST_ISSUER=$issuer "$@"
}

case ${1:-} in
  fetch) fetch ;;
  run) shift; [ $# -gt 0 ] || die "run what?"; run "$@" ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
