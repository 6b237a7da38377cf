# What the measurements share: a clock, medians, rows, projects that go when the bench ends. Sourced by bench/run.
repeat=${REPEAT:-5}
projects=()

note() { echo "bench: $*" >&2; }

# Milliseconds since some moment.
now() { local time=${EPOCHREALTIME/[.,]/}; echo $((time / 1000)); }

# The median of numbers on standard input.
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# How long a command took, in milliseconds; its output goes to $work/log. Fails as the command does.
timed() {
  local began
  began=$(now)
  "$@" >"$work/log" 2>&1 || { note "failed: $*"; tail -n 20 "$work/log" >&2; return 1; }
  echo $(($(now) - began))
}

# The median of $repeat timings.
medians() { for ((i = 0; i < repeat; i++)); do timed "$@"; done | median; }

# How long a command took in milliseconds, and its peak memory in MiB. The peak is VmHWM's, sampled until the end.
timed_with_memory() {
  local began peak=0 seen pid
  began=$(now)
  "$@" >"$work/log" 2>&1 &
  pid=$!
  while seen=$(awk '/VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null) && [[ $seen ]]; do
    peak=$seen
    sleep 0.01
  done
  wait "$pid" || { note "failed: $*"; tail -n 20 "$work/log" >&2; return 1; }
  echo "$(($(now) - began)) $((peak / 1024))"
}

# The processor time that a command took in milliseconds, and its peak memory in MiB, each the median of $repeat runs.
# Time is that of the command and all its children; what it prints goes to $work/log.
work_and_memory() {
  local times=() peaks=() TIMEFORMAT="%3U %3S" spent
  for ((i = 0; i < repeat; i++)); do
    spent=$({ time command time -q -o "$work/peak" -f %M "$@" >"$work/log" 2>&1; } 2>&1)
    grep -qE '^[0-9]+$' "$work/peak" || { note "failed: $*"; tail -n 20 "$work/log" >&2; return 1; }
    times+=("$(awk '{ print ($1 + $2) * 1000 }' <<<"$spent")")
    peaks+=("$(($(tail -n 1 "$work/peak") / 1024))")
  done
  echo "$(printf '%s\n' "${times[@]}" | median) $(printf '%s\n' "${peaks[@]}" | median)"
}

# row WHAT MILLISECONDS [PEER-NAME PEER-MILLISECONDS] [TARGET]: one line of the table.
row() {
  local what=$1 ours=$2 name=${3:-} theirs=${4:-} target=${5:-} ratio=""
  [[ $theirs ]] && ratio=$(awk "BEGIN { printf \"%.3f\", $ours / $theirs }")
  [[ $theirs ]] && theirs="$name $theirs ms"
  echo "| $what | $ours ms | $theirs | $ratio | $target |"
}

# project NAME: a new directory for a project that is taken down when the bench ends.
project() {
  mkdir -p "$work/$1"
  projects+=("$work/$1")
}

# answers ADDRESS: waits until http://ADDRESS gives a good answer.
answers() { until curl -sf --max-time 1 -o /dev/null "http://$1"; do sleep 0.002; done; }

finish() {
  local one
  for one in "$work"/*/; do
    [[ -d $one/.andon ]] && "$andon" -C "$one" down -y >/dev/null 2>&1
  done
  rm -rf "$work"
}
