# The job of bench/configure on many servers at once, and kept by an agent. Sourced by bench/run, after configure.sh.

# fleet_role PLACE: a project that holds the role and nothing else, as all that lies beside a role travels with it.
fleet_role() {
  mkdir -p "$1"
  cp bench/configure/job.role.hcl bench/configure/site.conf.tftpl "$1"
}

# fleet_times COMMAND…: prints first and no-op in milliseconds; the no-op is a median.
fleet_times() {
  local first
  first=$(timed "$@") || return 1
  echo "$first $(medians "$@")"
}

# Ten servers over ssh. They are this machine, each with an sshd of its own, in a mount namespace of its own: a server
# is converged by one at a time, and what says so lies in /run.
measure_ssh() {
  local sshd place=$work/ssh count=10 number server pids=() times theirs=("" "")
  sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) ||
    { note "skipped: sshd is not installed (apt-get install openssh-server)"; return 0; }
  fleet_role "$place"
  mkdir -p "$place/keys" "$place/cache" /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$place/keys/host"
  ssh-keygen -q -t ed25519 -N '' -f "$place/keys/login"
  for ((number = 0; number < count; number++)); do
    server=$place/keys/server-$number
    cat >"$server" <<END
Port $((22620 + number))
ListenAddress 127.0.0.1
HostKey $place/keys/host
AuthorizedKeysFile $place/keys/login.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv XDG_CACHE_HOME=$place/cache
END
    mkdir -p /run/andon "$place/targets/$number"
    unshare --mount sh -c "mount -t tmpfs none /run/andon && exec $sshd -D -f $server" 2>"$work/log" &
    pids+=($!)
    echo "[127.0.0.1]:$((22620 + number)) $(cut -d' ' -f1,2 "$place/keys/host.pub")" >>"$place/keys/known"
  done
  cat >"$place/fleet.hosts.hcl" <<END
host "h\${each.key}" {
  for_each = { for number in range($count) : tostring(number) => number }
  address  = "127.0.0.1"
  params   = { target = "$place/targets/\${each.key}" }
  connection {
    port          = 22620 + each.value
    identity_file = "$place/keys/login"
    options       = { UserKnownHostsFile = "$place/keys/known" }
  }
}
END
  fleet_servers_begin "$place" "$count"
  # The program is sent before, as it is once for each version of it.
  if "$andon" -C "$place" exec true --on all >"$work/log" 2>&1 &&
    times=$(fleet_times "$andon" -C "$place" run job --on all -y --param files=1000); then
    read -ra times <<<"$times"
    row "configure 1000 files on 10 servers over ssh, all new (once)" "${times[0]}"
    row "configure 1000 files on 10 servers over ssh, nothing to do" "${times[1]}" "" "" "1,500 ms"
    row "a login on each of them, for comparison: \`exec true\`" "$(medians "$andon" -C "$place" exec true --on all)"
  else
    note "failed: ten servers over ssh"
    tail -n 5 "$work/log" >&2
  fi
  if command -v ansible-playbook >/dev/null; then
    fleet_ansible "$place" "$count"
  else
    note "skipped: ansible-playbook is not installed (pip install ansible-core)"
  fi
  kill "${pids[@]}"
  wait "${pids[@]}" 2>/dev/null || true
  job_ends
}

# fleet_servers_begin PLACE COUNT: the targets of ten servers, of which nothing is done but that the users are there.
fleet_servers_begin() {
  local number
  mkdir -p "$work/job"
  job_begins 1
  for ((number = 0; number < $2; number++)); do
    rm -rf "$1/targets/$number"
    cp -r "$work/job/target" "$1/targets/$number"
  done
}

# fleet_ansible PLACE COUNT: the same with ten forks and a tenth of the files.
fleet_ansible() {
  local number times ours
  for ((number = 0; number < $2; number++)); do
    echo "h$number ansible_host=127.0.0.1 ansible_port=$((22620 + number)) target=$1/targets/$number"
  done >"$1/keys/inventory"
  mkdir -p "$1/keys/ansible"
  sed 's/hosts: localhost/hosts: all/; /connection: local/d' bench/configure/ansible.yml >"$1/keys/ansible/job.yml"
  cp bench/configure/site.conf.j2 "$1/keys/ansible"
  local common="-o UserKnownHostsFile=$1/keys/known -o IdentityFile=$1/keys/login"
  fleet_playbook() {
    ansible-playbook -f 10 -i "$1/keys/inventory" --ssh-common-args "$common" \
      -e ansible_python_interpreter=/usr/bin/python3 -e files=100 "$1/keys/ansible/job.yml"
  }
  fleet_servers_begin "$1" "$2"
  local kept=$repeat
  repeat=1
  times=$(fleet_times fleet_playbook "$1") || { repeat=$kept; return 0; }
  repeat=$kept
  fleet_servers_begin "$1" "$2"
  ours=$(fleet_times "$andon" -C "$1" run job --on all -y --param files=100) || return 0
  read -ra times <<<"$times"
  read -ra ours <<<"$ours"
  row "configure 100 files on 10 servers over ssh, all new (once)" "${ours[0]}" Ansible "${times[0]}"
  row "configure 100 files on 10 servers over ssh, nothing to do" "${ours[1]}" Ansible "${times[1]}"
}

# Servers of the lab, without anything above it: made, up, gone; beside Podman and systemd-nspawn with the same root file
# system, which ANDON_TEST_ROOT names. SERVERS=200 bench/run lab has fewer than a thousand at once.
lab_ground() {
  local root=${ANDON_TEST_ROOT:--} count=${SERVERS:-1000} what number
  local -A seen=()
  [[ -d $root ]] || { note "skipped: systemd, as ANDON_TEST_ROOT names no root file system"; root=-; }
  cargo build --release --locked --quiet --package andon-lab --example ground
  "$target/release/examples/ground" "$root" "$count" >"$work/ground" 2>"$work/log" ||
    { note "failed: servers of the lab"; tail -n 5 "$work/log" >&2; return 0; }
  while read -r what number; do seen[$what]=$number; done <"$work/ground"
  row "server without systemd: call of create to the first answer of its own agent (of 21)" "${seen[first_answer]}" "" "" "under 10 ms"
  row "server without systemd: deleted (of 21)" "${seen[delete]}"
  row "$count servers without systemd: created (once)" "${seen[many_created]}" "" "" "under 8,000 ms (1,000)"
  row "$count servers without systemd: all have answered (once)" "${seen[many_answered]}"
  echo "| $count servers without systemd: memory each | ${seen[many_memory]} KiB | | | 3 MiB at most |"
  row "$count servers without systemd: deleted (once)" "${seen[many_deleted]}"
  [[ $root != - ]] || return 0
  lab_peer podman_up podman_down "$root" >"$work/podman"
  lab_peer nspawn_up nspawn_down "$root" >"$work/nspawn"
  row "server with systemd: call of create until all units are up (of 11)" "${seen[systemd_up]}" Podman "$(<"$work/podman")" "under 350 ms"
  row "server with systemd: call of create until all units are up (of 11)" "${seen[systemd_up]}" systemd-nspawn "$(<"$work/nspawn")"
  row "server with systemd: deleted (of 11)" "${seen[systemd_delete]}"
  row "100 servers with systemd: created, all units up (once)" "${seen[hundred_up]}"
  echo "| 100 servers with systemd: memory each | ${seen[hundred_memory]} KiB | | | |"
  row "100 servers with systemd: deleted (once)" "${seen[hundred_deleted]}"
}

# lab_peer UP DOWN ROOT: the median time that UP takes with a root file system; nothing where it fails.
lab_peer() {
  local round
  for ((round = 0; round < repeat; round++)); do
    timed "$1" "$3" || return 0
    "$2" >>"$work/log" 2>&1 || true
  done | median
}

podman_up() {
  command -v podman >/dev/null || { echo "podman is not installed"; return 1; }
  podman --runtime runc --cgroup-manager cgroupfs run --detach --systemd=always --network none --name andon-bench \
    --rootfs "$1:O" /sbin/init || return 1
  podman exec andon-bench systemctl is-system-running --wait
}
podman_down() { podman rm --force --time 0 andon-bench; }

nspawn_up() {
  local init
  command -v systemd-nspawn >/dev/null || { echo "systemd-nspawn is not installed"; return 1; }
  systemd-nspawn --quiet --directory "$1" --volatile=overlay --machine andon-bench --register=no --keep-unit --private-network \
    --boot </dev/null >/dev/null 2>&1 &
  nspawn=$!
  until init=$(pgrep --parent "$nspawn" --newest) && nsenter -t "$init" -a systemctl is-system-running --wait; do
    kill -0 "$nspawn" || return 1
    sleep 0.005
  done
}
# Its own helper ends with the first process of the container.
nspawn_down() { pkill --signal KILL --parent "$nspawn" || true; wait "$nspawn" || true; }

# A hundred lab servers, each with the whole job. COUNT=20 bench/run lab has fewer.
measure_lab() {
  lab_ground
  local place=$work/lab count=${COUNT:-100} times
  bare_server lab "$count"
  fleet_role "$place/roles"
  "$andon" -C "$place" up -y >"$work/log" 2>&1 || { note "failed: $count lab servers"; tail -n 5 "$work/log" >&2; return 0; }
  "$andon" -C "$place" exec 'mkdir -p /srv/job; for n in $(seq -w 0 49); do echo key$n=default$n; done >/srv/job/app.ini' --on 's-*' >"$work/log" 2>&1
  times=$(fleet_times "$andon" -C "$place" run job --on 's-*' -y --param target=/srv/job --param files=1000) || return 0
  read -ra times <<<"$times"
  row "configure 1000 files on $count lab servers, all new (once)" "${times[0]}"
  row "configure 1000 files on $count lab servers, nothing to do" "${times[1]}" "" "" "6,000 ms (100 servers)"
  "$andon" -C "$place" down -y >"$work/log" 2>&1
}

# An agent that keeps the job done: what it takes while it waits, and what a sync takes of a processor, of twenty.
measure_agent() {
  local place=$work/agent pid memory spent repeat=20
  fleet_role "$place/project"
  mkdir -p "$work/job"
  job_begins 1000
  local words=(agent job --from "$place/project" --state "$place/state" --param "target=$work/job/target" --param files=1000)
  "$andon" "${words[@]}" --every 1h >"$work/log" 2>&1 &
  pid=$!
  # Its first sync is a child of it.
  until [[ -e $place/state/status.json ]] && [[ ! $(cat "/proc/$pid/task/$pid/children") ]]; do sleep 0.1; done
  memory=$(awk '/^Pss:/ {p = $2} /^Rss:/ {r = $2} END {printf "%.1f MB (%.1f MB resident)", p * 1.024 / 1000, r * 1.024 / 1000}' "/proc/$pid/smaps_rollup")
  kill "$pid"
  wait "$pid" || true
  echo "| an agent that waits: its share of memory | $memory | | | 10 MB |"
  read -ra spent <<<"$(work_and_memory "$andon" "${words[@]}" --once)"
  echo "| its sync of 1000 files, nothing to do: processor time; of a core, once a minute | ${spent[0]} ms;" \
    "$(awk "BEGIN { printf \"%.3f\", ${spent[0]} / 600 }") % | | | 0.1 % |"
  job_ends
}
