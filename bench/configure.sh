# The job of bench/configure: N templated files in 20 directories, 10 users, 10 packages that are installed, 5 lines of a
# file, for Andon and for each peer that is installed. Sourced by bench/run.

# job_begins FILES: a place where nothing of the job is done, but that the users are there.
job_begins() {
  # Not deleted: for half a minute ext4 looks past each inode that was given back, which would slow down what comes next.
  [[ -d $work/job/target ]] && mv "$work/job/target" "$work/job/target-before-$(now)"
  mkdir -p "$work/job/target"
  local number
  for number in {00..49}; do echo "key$number=default$number"; done >"$work/job/target/app.ini"
  for number in {00..09}; do
    id "bench$number" >/dev/null 2>&1 || useradd -M -s /bin/sh "bench$number"
  done
  awk -v n="$1" 'BEGIN {
    printf "{"
    for (i = 0; i < n; i++)
      printf "%s\"%d\":{\"path\":\"d%02d/svc-%04d.conf\",\"name\":\"svc-%04d\",\"index\":\"%d\",\"port\":\"%d\",\"team\":\"%d\",\"max\":\"%d\"}", \
        (i ? "," : ""), i, i % 20, i, i, i, 20000 + i, i % 7, 100 + i
    print "}"
  }' >"$work/job/job.json"
}

job_ends() {
  local number
  for number in {00..09}; do userdel "bench$number" 2>/dev/null || true; done
}

# job_drifts: each hundredth file has a line too many.
job_drifts() {
  local file
  for file in "$work"/job/target/*/svc-??00.conf; do echo "drifted = yes" >>"$file"; done
}

# job_is_done FILES: what the job asks for is there, to the byte of what it comes to.
job_is_done() {
  local sum
  [[ $(find "$work/job/target" -name 'svc-*.conf' -perm 0640 -user root | wc -l) -eq $1 ]] || return 1
  [[ $(find "$work/job/target" -mindepth 1 -type d -perm 0750 | wc -l) -eq 20 ]] || return 1
  [[ $(grep -c '^key[0-9]3=managed' "$work/job/target/app.ini") -eq 5 ]] || return 1
  sum=$(cd "$work/job/target" && find . -name 'svc-*.conf' -print0 | sort -z | xargs -0 cat | sha256sum)
  [[ -z ${job_sum[$1]:-} || ${job_sum[$1]} == "$sum" ]] || return 1
  job_sum[$1]=$sum
}

# job_times NAME FILES COMMAND…: prints first, no-op and drifted in milliseconds; the first is the median of as many as
# the others. Fails where what the tool leaves is not the job.
job_times() {
  local name=$1 files=$2 firsts=() again=() drifted=() i
  shift 2
  for ((i = 0; i < job_repeat; i++)); do
    job_begins "$files"
    firsts+=("$(timed "$@")") || return 1
    job_is_done "$files" || { note "$name leaves something else than the job"; return 1; }
    again+=("$(timed "$@")") || return 1
    job_drifts
    drifted+=("$(timed "$@")") || return 1
    job_is_done "$files" || { note "$name leaves drift"; return 1; }
  done
  echo "$(printf '%s\n' "${firsts[@]}" | median) $(printf '%s\n' "${again[@]}" | median) $(printf '%s\n' "${drifted[@]}" | median)"
}

# job_rows FILES NAME TIMES: three rows beside Andon's.
job_rows() {
  local ours theirs
  read -ra ours <<<"${job_ours[$1]}"
  read -ra theirs <<<"$3"
  row "configure $1 files, all new" "${ours[0]}" "$2" "${theirs[0]:-}" "$4"
  row "configure $1 files, nothing to do" "${ours[1]}" "$2" "${theirs[1]:-}" "$5"
  row "configure $1 files, 1 % drifted" "${ours[2]}" "$2" "${theirs[2]:-}" ""
}

measure_configure() {
  declare -gA job_ours=() job_sum=()
  local place=$work/job files times job_repeat=$repeat
  mkdir -p "$place"
  cp bench/configure/* "$place"
  local target=$place/target
  andon_job() { "$andon" -C "$place" run job --on local -y --param "target=$target" --param "files=$1"; }
  for files in 100 1000; do
    job_ours[$files]=$(job_times Andon "$files" andon_job "$files") || return 0
  done
  job_rows 1000 "" "" "150 ms" "40 ms"
  local spent
  read -ra spent <<<"$(work_and_memory "$andon" -C "$place" run job --on local -y --param "target=$target" --param files=1000)"
  echo "| configure 1000 files, nothing to do: peak memory | ${spent[1]} MiB | | | 25 MB |"

  job_repeat=1
  if command -v cf-agent >/dev/null; then
    mkdir -p /var/lib/cfengine3/modules/packages
    cp /usr/share/cfengine3/masterfiles/modules/packages/vendored/apt_get.mustache /var/lib/cfengine3/modules/packages/apt_get
    chmod 755 /var/lib/cfengine3/modules/packages/apt_get
    cf_job() { TARGET=$target cf-agent -K -f "$place/cfengine.cf"; }
    times=$(job_times CFEngine 1000 cf_job) && job_rows 1000 CFEngine "$times" "" ""
  else
    note "skipped: cf-agent is not installed (apt-get install cfengine3)"
  fi
  if command -v ansible-playbook >/dev/null; then
    ansible_job() { (cd "$place" && ansible-playbook -i localhost, -e ansible_python_interpreter=/usr/bin/python3 -e "target=$target files=100" ansible.yml); }
    times=$(job_times Ansible 100 ansible_job) && job_rows 100 Ansible "$times" "" ""
  else
    note "skipped: ansible-playbook is not installed (pip install ansible-core)"
  fi
  if command -v pyinfra >/dev/null; then
    pyinfra_job() { (cd "$place" && TARGET=$target FILES=100 pyinfra -y @local pyinfra.py); }
    times=$(job_times pyinfra 100 pyinfra_job) && job_rows 100 pyinfra "$times" "" ""
  else
    note "skipped: pyinfra is not installed (pip install pyinfra)"
  fi
  job_ends
}
