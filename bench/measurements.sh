# The measurements: each is a function that prints rows. What each number means is in bench/README.md.

shop() { # shop NAME: a copy of the shop that listens on ports of its own
  project "$1"
  cp -r examples/shop/. "$work/$1"
  rm -rf "$work/$1/.andon"
  sed -i 's/127.0.0.1:8080/127.0.0.1:38080/; s/127.0.0.1:8090/127.0.0.1:38090/' "$work/$1/andon.hcl"
}

# The root file system that an image's servers boot from, as one directory for the peers.
rootfs() {
  shop rootfs
  "$andon" -C "$work/rootfs" up -y >/dev/null 2>&1
  mkdir -p "$work/root"
  "$andon" -C "$work/rootfs" ssh web-0 tar --one-file-system -C / -c . | tar -x -C "$work/root" || true
  "$andon" -C "$work/rootfs" down -y >/dev/null 2>&1
}

bare_server() {
  project "$1"
  cp -r examples/shop/{images,roles} "$work/$1"
  cat >"$work/$1/main.tf" <<END
variable "servers" {
  type    = number
  default = $2
}
resource "lab_network" "net" {
  name = "bench"
  cidr = "10.200.0.0/22"
}
resource "andon_image" "web" {
  definition = "web"
}
resource "lab_server" "one" {
  count   = var.servers
  name    = "s-\${count.index}"
  image   = andon_image.web.digest
  network = lab_network.net.id
}
END
}

# From the command to a command run inside (init runs), and to `systemctl is-system-running --wait` (all units are up).
measure_servers() {
  bare_server servers 0
  "$andon" -C "$work/servers" up -y >"$work/log" 2>&1 # the image is baked, the network is there
  local init=() units=() began
  for ((i = 0; i < repeat; i++)); do
    sed -i 's/default = 0/default = 1/' "$work/servers/main.tf"
    began=$(now)
    "$andon" -C "$work/servers" apply -y >"$work/log" 2>&1
    "$andon" -C "$work/servers" ssh s-0 true
    init+=($(($(now) - began)))
    "$andon" -C "$work/servers" ssh s-0 systemctl is-system-running --wait >/dev/null || true
    units+=($(($(now) - began)))
    sed -i 's/default = 1/default = 0/' "$work/servers/main.tf"
    "$andon" -C "$work/servers" apply -y >"$work/log" 2>&1
  done
  "$andon" -C "$work/servers" down -y >"$work/log" 2>&1 # the next measurement uses the same addresses
  local our_init our_units
  our_init=$(printf '%s\n' "${init[@]}" | median)
  our_units=$(printf '%s\n' "${units[@]}" | median)
  row "server: \`apply\` to a command inside" "$our_init"
  if ! command -v podman >/dev/null; then
    row "server: \`apply\` to all units up" "$our_units"
    note "skipped: podman is not installed (apt-get install podman crun)"
    return
  fi
  rootfs
  tar -C "$work/root" -c . | podman import -q - localhost/andon-bench >/dev/null
  init=() units=()
  for ((i = 0; i < repeat; i++)); do
    began=$(now)
    podman run -d --name andon-bench --systemd=always localhost/andon-bench /sbin/init >"$work/log" 2>&1 || break
    until podman exec andon-bench true 2>/dev/null; do sleep 0.005; done
    init+=($(($(now) - began)))
    podman exec andon-bench systemctl is-system-running --wait >/dev/null 2>&1 || true
    units+=($(($(now) - began)))
    podman rm -f -t 0 andon-bench >/dev/null 2>&1
  done
  podman rm -f -t 0 andon-bench >/dev/null 2>&1 || true
  podman rmi -f localhost/andon-bench >/dev/null 2>&1 || true
  if [[ ${#init[@]} -lt $repeat ]]; then
    note "skipped: podman cannot run systemd here: $(tail -n 1 "$work/log")"
    row "server: \`apply\` to all units up" "$our_units"
    return
  fi
  row "the same, against \`podman run\` and \`exec\`" "$our_init" podman "$(printf '%s\n' "${init[@]}" | median)"
  row "server: to all units up" "$our_units" podman "$(printf '%s\n' "${units[@]}" | median)"
}

# `up` of the shop with its image cached, to the first good answer through the balancer; a client asks all the while.
measure_up() {
  shop up
  "$andon" -C "$work/up" up -y >"$work/log" 2>&1
  local times=()
  for ((i = 0; i < repeat; i++)); do
    "$andon" -C "$work/up" down -y >"$work/log" 2>&1
    local began
    began=$(now)
    "$andon" -C "$work/up" up -y >"$work/log" 2>&1 &
    answers 127.0.0.1:38080/
    times+=($(($(now) - began)))
    wait $!
  done
  row "\`up\` of the shop to the first good answer" "$(printf '%s\n' "${times[@]}" | median)" "" "" "under 2,000 ms"
  "$andon" -C "$work/up" down -y >"$work/log" 2>&1
}

# A plan without changes of the shop: every object and every server is looked at.
measure_plan() {
  shop plan
  "$andon" -C "$work/plan" up -y >"$work/log" 2>&1
  row "no-op plan of the shop" "$(medians "$andon" -C "$work/plan" plan)" "" "" "under 100 ms"
  "$andon" -C "$work/plan" down -y >"$work/log" 2>&1
}

# A hundred servers, made until nginx answers in each; what each takes; all deleted.
measure_hundred() {
  bare_server hundred 100
  sed -i 's/default = 100/default = 0/' "$work/hundred/main.tf"
  "$andon" -C "$work/hundred" up -y >"$work/log" 2>&1
  sed -i 's/default = 0/default = 100/' "$work/hundred/main.tf"
  local before after began
  before=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
  began=$(now)
  if ! "$andon" -C "$work/hundred" apply -y >"$work/log" 2>&1; then
    note "failed: 100 servers"
    grep -m 3 -A 6 '^error' "$work/log" >&2 || tail -n 5 "$work/log" >&2
    return
  fi
  row "100 servers: \`apply\` (once)" $(($(now) - began))
  local address
  for address in $("$andon" -C "$work/hundred" status --json | grep -o '"address":"10\.200[^"]*"' | cut -d'"' -f4 | sort -u); do
    timeout 60 bash -c "until curl -sf --max-time 2 -o /dev/null http://$address/healthz; do sleep 0.05; done" ||
      { note "failed: $address does not answer"; return; }
  done
  row "100 servers: until nginx has answered in each (once)" $(($(now) - began))
  after=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
  echo "| 100 servers: memory each | $(((before - after) / 100 / 1024)) MiB | | | |"
  sed -i 's/default = 100/default = 0/' "$work/hundred/main.tf"
  row "100 servers: deleted (once)" "$(timed "$andon" -C "$work/hundred" apply -y)"
}

# Small expressions that are evaluated in a second, on one core.
measure_evaluation() {
  local rate
  rate=$(cargo run --release --locked --quiet --package andon-engine --example evaluate | awk '{ print $1 }')
  echo "| small expressions evaluated in a second, one core (once) | $rate | | | over 100,000 |"
}

# Checking definitions: processor time and memory, against `terraform validate` of the same files; then many more of them.
measure_check() {
  local terraform=${ANDON_TERRAFORM:-$(command -v terraform || true)} count ours theirs=("" "")
  [[ $terraform ]] || note "skipped: terraform is not installed (or name it in ANDON_TERRAFORM)"
  for count in 1000 5000 100000; do
    mkdir -p "$work/check-$count"
    seq "$count" | awk '{ printf "resource \"terraform_data\" \"r%d\" {\n  input = \"value-%d\"\n}\n\n", $1, $1 }' \
      >"$work/check-$count/main.tf"
    read -r -a ours < <(work_and_memory "$andon" -C "$work/check-$count" check)
    theirs=("" "")
    if [[ $terraform && $count -lt 100000 ]]; then
      "$terraform" -chdir="$work/check-$count" init >"$work/log" 2>&1
      read -r -a theirs < <(work_and_memory "$terraform" -chdir="$work/check-$count" validate)
    fi
    row "check of $count flat resources, processor time (${ours[1]} MiB${theirs[1]:+ against ${theirs[1]} MiB})" \
      "${ours[0]}" terraform "${theirs[0]}" "$([[ $count == 5000 ]] && echo "under 0.033 and a tenth of the memory")"
    rm -rf "$work/check-$count"
  done
}

# Plans of many terraform_data: first, and after an apply of all of them without changes.
measure_big() {
  local terraform=${ANDON_TERRAFORM:-$(command -v terraform || true)} count ours theirs
  [[ $terraform ]] || note "skipped: terraform is not installed (or name it in ANDON_TERRAFORM)"
  for count in 1000 10000; do
    project "big-$count"
    mkdir -p "$work/terraform-$count"
    cat >"$work/big-$count/main.tf" <<END
resource "terraform_data" "one" {
  count = $count
  input = "value \${count.index}"
}
END
    cp "$work/big-$count/main.tf" "$work/terraform-$count"
    [[ $terraform ]] && "$terraform" -chdir="$work/terraform-$count" init >"$work/log" 2>&1
    for state in first no-op; do
      if [[ $state == no-op ]]; then
        "$andon" -C "$work/big-$count" apply -y >"$work/log" 2>&1
        [[ $terraform ]] && "$terraform" -chdir="$work/terraform-$count" apply -auto-approve >"$work/log" 2>&1
      fi
      read -r -a ours < <(timed_with_memory "$andon" -C "$work/big-$count" plan)
      theirs=("" "")
      [[ $terraform ]] && read -r -a theirs < <(timed_with_memory "$terraform" -chdir="$work/terraform-$count" plan)
      row "$state plan of $count terraform_data (once; ${ours[1]} MiB${theirs[1]:+ against ${theirs[1]} MiB})" \
        "${ours[0]}" terraform "${theirs[0]}"
    done
    rm -rf "$work/big-$count" "$work/terraform-$count"
  done
}

# What the engine does with a thousand resources: planned, applied durably, planned again; two resources of a thousand
# instances each, the second reading the first one by one; a hundred thousand planned.
measure_engine() {
  local terraform=${ANDON_TERRAFORM:-$(command -v terraform || true)} name ours theirs verb
  [[ $terraform ]] || note "skipped: terraform is not installed (or name it in ANDON_TERRAFORM)"
  project flat
  for number in $(seq 0 999); do
    local input="\"value $number\""
    ((number % 10)) && input="terraform_data.r$((number - 1)).input"
    printf 'resource "terraform_data" "r%s" {\n  input = %s\n}\n' "$number" "$input"
  done >"$work/flat/main.tf"
  project pairs
  cat >"$work/pairs/main.tf" <<'END'
resource "terraform_data" "one" {
  count = 1000
  input = "value ${count.index}"
}
resource "terraform_data" "two" {
  count = 1000
  input = terraform_data.one[count.index].id
}
END
  for name in flat pairs; do
    mkdir -p "$work/terraform-$name"
    cp "$work/$name/main.tf" "$work/terraform-$name"
    [[ $terraform ]] && "$terraform" -chdir="$work/terraform-$name" init >"$work/log" 2>&1
    for verb in "plan" "apply" "no-op plan"; do
      local own=(plan) other=(plan)
      [[ $verb == apply ]] && own=(apply -y) other=(apply -auto-approve)
      read -r -a ours < <(timed_with_memory "$andon" -C "$work/$name" "${own[@]}")
      theirs=("" "")
      [[ $terraform ]] && read -r -a theirs < <(timed_with_memory "$terraform" -chdir="$work/terraform-$name" "${other[@]}")
      row "$name: $verb (once; ${ours[1]} MiB${theirs[1]:+ against ${theirs[1]} MiB})" "${ours[0]}" terraform "${theirs[0]}"
    done
  done
  for count in 1000 10000 100000; do
    project "many-$count"
    printf 'resource "terraform_data" "one" {\n  count = %s\n  input = "value ${count.index}"\n}\n' "$count" >"$work/many-$count/main.tf"
    read -r -a ours < <(timed_with_memory "$andon" -C "$work/many-$count" plan)
    row "plan of $count (once; ${ours[1]} MiB)" "${ours[0]}"
  done
}

# A no-op plan of ten AWS resources, in an imitation of the cloud on loopback.
measure_aws() {
  local terraform=${ANDON_TERRAFORM:-$(command -v terraform || true)} place=$work/aws port=5877 server ours theirs
  if [[ ! ${ANDON_PLUGIN_MIRROR:-} ]] || ! command -v moto_server >/dev/null; then
    note "skipped: no mirror has the AWS plugin (ANDON_PLUGIN_MIRROR), or moto_server is not installed"
    return
  fi
  moto_server -p "$port" >"$work/moto.log" 2>&1 &
  server=$!
  project aws
  printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$ANDON_PLUGIN_MIRROR" >"$place/rc"
  cat >"$place/main.tf" <<END
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "nobody"
  secret_key                  = "nothing"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    ssm = "http://127.0.0.1:$port"
  }
}
resource "aws_ssm_parameter" "p" {
  count = 10
  name  = "p\${count.index}"
  type  = "String"
  value = "v"
}
END
  export TF_CLI_CONFIG_FILE=$place/rc XDG_CACHE_HOME=$place/cache
  timeout 60 bash -c "until curl -s -o /dev/null http://127.0.0.1:$port/; do sleep 0.2; done" || true
  "$andon" -C "$place" init >"$work/log" 2>&1 && "$andon" -C "$place" apply -y >"$work/log" 2>&1 || note "failed: aws"
  ours=$(medians "$andon" -C "$place" plan)
  theirs=""
  if [[ $terraform ]]; then
    mkdir -p "$work/aws-terraform"
    sed 's/"p\${/"t${/' "$place/main.tf" >"$work/aws-terraform/main.tf"
    "$terraform" -chdir="$work/aws-terraform" init >"$work/log" 2>&1
    "$terraform" -chdir="$work/aws-terraform" apply -auto-approve >"$work/log" 2>&1
    theirs=$(timed "$terraform" -chdir="$work/aws-terraform" plan)
  fi
  row "no-op plan of 10 AWS resources" "$ours" terraform "$theirs" "under 1.5 s"
  unset TF_CLI_CONFIG_FILE XDG_CACHE_HOME
  kill "$server"
}

# A check of ten AWS resources: before anything is known of the plugin, and again. Both sides ask the same plugin.
measure_plugins() {
  local terraform=${ANDON_TERRAFORM:-$(command -v terraform || true)} place=$work/plugins cold warm theirs
  if [[ ! ${ANDON_PLUGIN_MIRROR:-} ]]; then
    note "skipped: no mirror has the AWS plugin (name one in ANDON_PLUGIN_MIRROR)"
    return
  fi
  project plugins
  cat >"$place/rc" <<END
provider_installation {
  filesystem_mirror {
    path = "$ANDON_PLUGIN_MIRROR"
  }
}
END
  for number in 0 1 2 3 4; do
    cat >>"$place/main.tf" <<END
resource "aws_vpc" "n$number" {
  cidr_block = "10.$number.0.0/16"
}
resource "aws_subnet" "n$number" {
  vpc_id     = aws_vpc.n$number.id
  cidr_block = cidrsubnet(aws_vpc.n$number.cidr_block, 8, 1)
}
END
  done
  export TF_CLI_CONFIG_FILE=$place/rc XDG_CACHE_HOME=$place/cache
  read -r -a cold < <(timed_with_memory "$andon" -C "$place" check)
  read -r -a warm < <(timed_with_memory "$andon" -C "$place" check)
  theirs=("" "")
  if [[ $terraform ]]; then
    "$terraform" -chdir="$place" init >"$work/log" 2>&1
    read -r -a theirs < <(timed_with_memory "$terraform" -chdir="$place" validate)
  else
    note "skipped: terraform is not installed (or name it in ANDON_TERRAFORM)"
  fi
  row "first check of 10 AWS resources (once; ${cold[1]} MiB${theirs[1]:+ against ${theirs[1]} MiB})" \
    "${cold[0]}" terraform "${theirs[0]}"
  row "the same again (once; ${warm[1]} MiB${theirs[1]:+ against ${theirs[1]} MiB})" "${warm[0]}" terraform "${theirs[0]}"
  unset TF_CLI_CONFIG_FILE XDG_CACHE_HOME
}

# A role of a thousand files, on one server: all of them, and none of them.
measure_converge() {
  project converge
  bare_server converge 1
  local place=$work/converge
  cat >"$place/roles/files.role.hcl" <<'END'
role "files" {
  file "/etc/bench" {
    for_each = toset([for number in range(1000) : tostring(number)])
    path     = "/etc/bench-${each.key}"
    content  = "file ${each.key}\n"
  }
}
END
  "$andon" -C "$place" up -y >"$work/log" 2>&1
  cat >>"$place/main.tf" <<'END'
resource "andon_host" "one" {
  connection = lab_server.one[0].connection
  role       = "files"
}
END
  local first
  first=$(timed "$andon" -C "$place" apply -y) || return 0
  row "converge of 1,000 files, all new (once)" "$first"
  row "plan of 1,000 files without changes" "$(medians "$andon" -C "$place" plan)"
  "$andon" -C "$place" down -y >"$work/log" 2>&1
}

# 3,000 files of 40 lines, none in the format; each time from the start. The peer goes through the same files.
measure_format() {
  mkdir -p "$work/format"
  local i times=() theirs=() began
  for ((i = 0; i < 3000; i++)); do
    {
      for ((j = 0; j < 5; j++)); do
        printf 'resource "aws_instance" "web_%d_%d" {\n' "$i" "$j"
        printf 'ami="ami-%d"\n  instance_type = var.type\n tags={\nName="x-${count.index}"\n}\n}\n\n' "$j"
      done
    } >"$work/format/f$i.tf"
  done
  cp -r "$work/format" "$work/formatted"
  for ((i = 0; i < repeat; i++)); do
    cp "$work/format"/*.tf "$work/formatted"
    began=$(now)
    "$andon" -C "$work/formatted" fmt >"$work/log"
    times+=($(($(now) - began)))
    if command -v terraform >/dev/null; then
      cp "$work/format"/*.tf "$work/formatted"
      began=$(now)
      (cd "$work/formatted" && terraform fmt >"$work/log")
      theirs+=($(($(now) - began)))
    fi
  done
  local ours
  ours=$(printf '%s\n' "${times[@]}" | median)
  if [[ ${#theirs[@]} -gt 0 ]]; then
    row "\`fmt\` of 3,000 files" "$ours" terraform "$(printf '%s\n' "${theirs[@]}" | median)" "under 1,000 ms"
  else
    row "\`fmt\` of 3,000 files" "$ours" "" "" "under 1,000 ms"
  fi
}
