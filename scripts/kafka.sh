#!/usr/bin/env bash
# A real Apache Kafka on this machine, for tests and measurements: KRaft, loopback, no docker.
#
#   scripts/kafka.sh up [1|3]   start that many brokers and wait until they answer; print their address
#   scripts/kafka.sh down       stop them; their data stay
#   scripts/kafka.sh clean      stop them and delete their data
#   scripts/kafka.sh status     say what runs; 1 where a broker is down
#   scripts/kafka.sh env        print KAFKA_BROKERS=… of the brokers that were started
#   scripts/kafka.sh fetch      only fetch the jars
#   scripts/kafka.sh run N COMMAND…   run COMMAND with DAYBREAK_TEST_BROKERS naming N brokers of its own,
#                                     new ones, which stop after it
#
# Needs bash, Java 17 or later and, once, Maven. Variables: KAFKA_DIR (state, default .kafka beside
# scripts/), KAFKA_JARS (cache of jars), KAFKA_PORT (first port, default the first free one from 19092 on),
# KAFKA_HEAP (of each broker, default 256m).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/kafka/pom.xml")
state=${KAFKA_DIR:-$here/../.kafka}
jars=${KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/daybreak/kafka-$version}
heap=${KAFKA_HEAP:-256m}
start_seconds=90
stop_seconds=30

die() { echo "kafka.sh: $*" >&2; exit 1; }

# --- jars ---------------------------------------------------------------------------------------

need_java() {
  command -v java >/dev/null || die "no java found: install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless)"
  local major
  major=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ] || die "java is version ${major:-unknown}, 17 or later is needed"
}

fetch() {
  [ -f "$jars/complete" ] && return
  command -v mvn >/dev/null || die "no mvn found, which fetches Kafka's jars: install Maven (Debian: apt-get install maven)"
  echo "fetching Kafka $version (45 MB, once) into $jars" >&2
  rm -rf "$jars" && mkdir -p "$jars"
  mvn -q -B -C -Dstyle.color=never -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars" -DincludeScope=runtime >&2 ||
    die "the jars could not be fetched: is the network up, and Maven's settings right?"
  touch "$jars/complete"
}

# --- the protocol, as far as it takes to know that brokers answer -----------------------------

# ask PORT REQUEST BYTES: sends a request, prints so many bytes of the reply in hex, without blanks.
ask() {
  local reply
  reply=$( {
    exec 9<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf "$2" >&9
    timeout 2 head -c "$3" <&9 | od -An -v -tx1
  } 2>/dev/null ) || return 1
  echo "${reply//[[:space:]]/}"
}

# answers PORT: the broker replies to ApiVersions, our correlation id and no error.
answers() {
  local reply
  reply=$(ask "$1" '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff' 10) || return 1
  [ "${reply:8}" = 000000070000 ]
}

# members PORT: the number of brokers that Metadata (version 1, no topics) lists.
members() {
  local reply
  reply=$(ask "$1" '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x08\xff\xff\x00\x00\x00\x00' 12) || return 1
  [ "${reply:8:8}" = 00000008 ] || return 1
  echo $((16#${reply:16:8}))
}

taken() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# --- brokers --------------------------------------------------------------------------------------

pid_of() { cat "$state/$1/pid" 2>/dev/null; }

# alive N: broker N's process runs and is ours, not another one that got its id.
alive() {
  local pid
  pid=$(pid_of "$1") && kill -0 "$pid" 2>/dev/null && [[ $(ps -o args= -p "$pid") == *kafka.Kafka*"/$1/server.properties"* ]]
}

count() { cat "$state/brokers" 2>/dev/null || echo 0; }
port_of() { echo $(($(cat "$state/port") + 2 * ($1 - 1))); }

addresses() {
  local list= i
  for ((i = 1; i <= $(count); i++)); do list+=${list:+,}127.0.0.1:$(port_of "$i"); done
  echo "$list"
}

# choose_port N: the first port of N brokers, each of which takes two.
choose_port() {
  local first=${KAFKA_PORT:-19092} p
  while :; do
    for ((p = first; p < first + 2 * $1; p++)); do taken "$p" && break; done
    ((p == first + 2 * $1)) && break
    [ -z "${KAFKA_PORT:-}" ] || die "port $p is taken by another program: choose another KAFKA_PORT"
    first=$((p + 1))
    ((first < 20092)) || die "no free ports from 19092 to 20092: choose a KAFKA_PORT"
  done
  echo "$first"
}

configure() {
  local n=$1 i=$2 voters= j replicas=$1 in_sync
  for ((j = 1; j <= n; j++)); do voters+=${voters:+,}$j@127.0.0.1:$(($(port_of "$j") + 1)); done
  in_sync=$((n > 1 ? n - 1 : 1))
  mkdir -p "$state/$i"
  cat >"$state/$i/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$i
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$(port_of "$i"),CONTROLLER://127.0.0.1:$(($(port_of "$i") + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$(port_of "$i")
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$state/$i/data
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=8
group.initial.rebalance.delay.ms=0
log.cleaner.threads=1
num.network.threads=2
num.io.threads=4
PROPERTIES
  cat >"$state/log4j2.yaml" <<'LOGGING'
Configuration:
  Appenders: {Console: {name: console, PatternLayout: {pattern: "%d %p %c{1} %m%n"}}}
  Loggers: {Root: {level: WARN, AppenderRef: {ref: console}}}
LOGGING
}

# launch N: format the broker's directory, if it is new, and start it in a session of its own, with
# none of our open files.
launch() {
  local dir=$state/$1
  local options=(-Dlog4j2.configurationFile="$state/log4j2.yaml" -cp "$jars/*")
  if [ ! -f "$dir/data/meta.properties" ]; then
    java "${options[@]}" kafka.tools.StorageTool format -t "$(cat "$state/cluster")" -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
      die "broker $1: format failed, see $dir/format.log"
  fi
  setsid java "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true "${options[@]}" \
    kafka.Kafka "$dir/server.properties" </dev/null >"$dir/server.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  echo $! >"$dir/pid"
}

# await N SECONDS COMMAND…: until COMMAND holds, while broker N lives.
await() {
  local i=$1 end=$((SECONDS + $2))
  shift 2
  until "$@"; do
    alive "$i" || die "broker $i ended, see $state/$i/server.log: $(tail -n 1 "$state/$i/server.log")"
    ((SECONDS < end)) || die "broker $i does not answer after $start_seconds s, see $state/$i/server.log"
    sleep 0.2
  done
}

all_members() { [ "$(members "$(port_of "$1")")" = "$(count)" ]; }

up() {
  local n=${1:-1} i
  [[ $n == 1 || $n == 3 ]] || die "up takes 1 or 3 brokers, not $n"
  need_java
  mkdir -p "$state" && state=$(cd "$state" && pwd)
  fetch
  if [ "$(count)" != "$n" ]; then
    [ "$(count)" = 0 ] || die "$state holds $(count) brokers: 'kafka.sh clean' first, or another KAFKA_DIR"
    choose_port "$n" >"$state/port"
    echo "$n" >"$state/brokers"
    head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22 >"$state/cluster"
  fi
  for ((i = 1; i <= n; i++)); do
    alive "$i" && continue
    taken "$(port_of "$i")" && die "port $(port_of "$i") of broker $i is taken by another program: end it, or 'kafka.sh clean' for new ports"
    configure "$n" "$i"
    launch "$i"
  done
  for ((i = 1; i <= n; i++)); do await "$i" "$start_seconds" answers "$(port_of "$i")"; done
  for ((i = 1; i <= n; i++)); do await "$i" "$start_seconds" all_members "$i"; done
  env_of
}

down() {
  local i end
  for ((i = 1; i <= $(count); i++)); do alive "$i" && kill "$(pid_of "$i")"; done
  for ((i = 1; i <= $(count); i++)); do
    end=$((SECONDS + stop_seconds))
    while alive "$i"; do
      ((SECONDS < end)) || kill -9 "$(pid_of "$i")" 2>/dev/null || true
      sleep 0.1
    done
    rm -f "$state/$i/pid"
  done
}

clean() {
  down
  # only what this script made
  rm -rf "$state"/[123] "$state/port" "$state/brokers" "$state/cluster" "$state/log4j2.yaml"
}

status() {
  local i result=0
  [ "$(count)" != 0 ] || { echo "no brokers in $state"; return 1; }
  for ((i = 1; i <= $(count); i++)); do
    if alive "$i" && answers "$(port_of "$i")"; then
      echo "broker $i 127.0.0.1:$(port_of "$i") pid $(pid_of "$i") memory $(($(ps -o rss= -p "$(pid_of "$i")") / 1024)) MB"
    else
      echo "broker $i down"
      result=1
    fi
  done
  return $result
}

env_of() {
  [ "$(count)" != 0 ] || die "no brokers in $state: 'kafka.sh up' first"
  echo "KAFKA_BROKERS=$(addresses)"
}

# run N COMMAND…: the brokers are new each time, so that no test meets the records of another run.
run() {
  local n=${1:-} result=0
  shift || true
  [ $# -gt 0 ] || die "run takes a number of brokers and a command"
  state=$state/run
  clean
  trap clean EXIT
  up "$n" >&2
  DAYBREAK_TEST_BROKERS=$(addresses) "$@" || result=$?
  exit $result
}

case ${1:-} in
  up) up "${2:-1}" ;;
  down) down ;;
  clean) clean ;;
  status) status ;;
  run) shift && run "$@" ;;
  env) env_of ;;
  fetch) need_java && fetch ;;
  *) sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
