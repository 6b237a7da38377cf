//! What a server says of itself: the `fact` of expressions. Each fact is gathered on its own, so that a role costs no more
//! than what it reads. Nothing is asked of any network, and nothing that may hang.

mod accounts;
mod hardware;
mod machine;
mod network;
mod software;
mod system;

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::host::{Stage, fact_types};
use andon_value::{Type, Value};

use machine::Machine;
pub(crate) use network::own_addresses;

/// Gathers one fact.
type Gather = fn(&Machine) -> Option<Value>;

/// How each fact is gathered, and whether it is one of the content of a root file system: the others are those of the
/// machine that bakes where an image is made, on which the image must not depend, and null there.
const FACTS: [(&str, bool, Gather); 30] = [
    ("address", false, network::address),
    ("address6", false, network::address6),
    ("addresses", false, network::addresses),
    ("architecture", true, |_| Some(Value::from(std::env::consts::ARCH))),
    ("cloud", false, system::cloud),
    ("cpu", false, hardware::cpu),
    ("cpus", false, hardware::cpus),
    ("disks", false, hardware::disks),
    ("domain", true, system::domain),
    ("fqdn", true, system::fqdn),
    ("gateway", false, network::gateway),
    ("groups", true, accounts::groups),
    ("hostname", true, system::hostname),
    ("image", true, |machine| Some(Value::from(machine.stage == Stage::Image))),
    ("init", true, system::init),
    ("interfaces", false, network::interfaces),
    ("kernel", false, |machine| machine.line("/proc/sys/kernel/osrelease").map(Value::from)),
    ("locale", true, system::locale),
    ("machine_id", false, |machine| machine.line("/etc/machine-id").map(Value::from)),
    ("memory_mb", false, hardware::memory_mb),
    ("mounts", false, hardware::mounts),
    ("nameservers", false, network::nameservers),
    ("os", true, system::os),
    ("package_manager", true, software::package_manager),
    ("packages", true, software::packages),
    ("routes", false, network::routes),
    ("services", true, software::services),
    ("swap_mb", false, hardware::swap_mb),
    ("timezone", true, system::timezone),
    ("users", true, accounts::users),
];

/// Facts that come in two depths: a word, and all that is known.
const MORE: [(&str, bool, Gather); 2] =
    [("virtualization", false, system::virtualization), ("virtualization_kind", false, system::virtualization_kind)];

/// The facts of these names, or all. The others are there, and null.
pub fn facts(stage: Stage, wanted: Option<&BTreeSet<Arc<str>>>) -> Value {
    gather(&Machine::new("", stage), wanted)
}

/// The names of all facts.
pub fn fact_names() -> impl Iterator<Item = &'static str> {
    FACTS.iter().chain(&MORE).map(|(name, ..)| *name)
}

fn gather(machine: &Machine, wanted: Option<&BTreeSet<Arc<str>>>) -> Value {
    let Type::Object { attributes, .. } = fact_types() else { return Value::NULL };
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.contains(name));
    Value::object(attributes.iter().map(|(name, ty)| {
        let known = FACTS.iter().chain(&MORE).find(|(known, ..)| **known == **name).filter(|_| is_wanted(name));
        let here = known.filter(|(_, of_content, _)| *of_content || machine.stage == Stage::Live);
        let value = here.and_then(|(.., gather)| gather(machine));
        (name.clone(), value.unwrap_or_else(|| nothing(name, ty)))
    }))
}

/// What a fact is that is not known. A list that was always there is empty.
fn nothing(name: &str, ty: &Type) -> Value {
    match ty {
        Type::List(element) if name == "addresses" => Value::list((**element).clone(), []),
        ty => Value::null(ty.clone()),
    }
}

/// A text, or null.
fn text(text: Option<impl Into<Arc<str>>>) -> Value {
    text.map_or(Value::null(Type::String), |text| Value::string(text))
}

/// A number, or null.
fn number(number: Option<u64>) -> Value {
    number.and_then(|number| i64::try_from(number).ok()).map_or(Value::null(Type::Number), Value::from)
}

/// The type of what is in a fact that is a list or a map.
fn element(name: &str) -> Type {
    let Type::Object { attributes, .. } = fact_types() else { return Type::Dynamic };
    match attributes.get(name) {
        Some(Type::List(element) | Type::Map(element)) => (**element).clone(),
        _ => Type::Dynamic,
    }
}

fn list(name: &str, all: impl IntoIterator<Item = Value>) -> Option<Value> {
    Some(Value::list(element(name), all))
}

fn map<K: Into<Arc<str>>>(name: &str, all: impl IntoIterator<Item = (K, Value)>) -> Option<Value> {
    Some(Value::map(element(name), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts of a made root: files after `== path` lines.
    fn made(text: &str, wanted: &[&str]) -> (Value, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        for file in format!("\n{text}").split("\n== ").skip(1) {
            let (path, content) = file.split_once('\n').unwrap_or((file, ""));
            let place = root.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, content.replace("\\0", "\0")).unwrap();
        }
        let machine = Machine::new(root.path().to_str().unwrap(), Stage::Live);
        let wanted: BTreeSet<Arc<str>> = wanted.iter().map(|name| Arc::from(*name)).collect();
        let facts = gather(&machine, Some(&wanted));
        assert_eq!(facts.ty(), fact_types());
        (facts, machine.reads())
    }

    #[track_caller]
    fn check(text: &str, name: &str, expected: &str) {
        let (facts, _) = made(text, &[name]);
        let shown = andon_value::to_json(facts.get(name).unwrap()).unwrap().to_string();
        assert_eq!(shown, expected, "{name}");
    }

    #[test]
    fn only_what_is_used_is_gathered() {
        let text = "== /etc/os-release\nID=debian\n== /proc/meminfo\nMemTotal: 2048000 kB\n== /etc/passwd\nroot:x:0:0::/root:/bin/sh\n";
        let (facts, reads) = made(text, &["os"]);
        assert_eq!(reads, ["/etc/os-release"]);
        assert_eq!(facts.get("os").unwrap().get_str("family"), Some("debian"));
        assert!(["memory_mb", "users", "packages", "kernel"].iter().all(|name| facts.get(name).unwrap().is_null()));
        assert_eq!(made(text, &[]).1, Vec::<String>::new());
        let (_, reads) = made(text, &["memory_mb", "users"]);
        assert!(reads.contains(&"/proc/meminfo".to_owned()) && reads.contains(&"/etc/passwd".to_owned()));
        assert!(!reads.iter().any(|path| path.contains("os-release") || path.contains("dpkg")), "{reads:?}");
    }

    #[test]
    fn every_fact_has_a_way_to_it() {
        let Type::Object { attributes, .. } = fact_types() else { panic!() };
        let typed: Vec<&str> = attributes.keys().map(|name| &**name).collect();
        let mut known: Vec<&str> = fact_names().collect();
        known.sort_unstable();
        assert_eq!(typed, known);
    }

    #[test]
    fn recorded_texts() {
        check(
            "== /etc/os-release\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.4'\n",
            "os",
            r#"{"codename":"","family":"redhat","name":"rocky","version":"9.4"}"#,
        );
        check(
            "== /usr/lib/os-release\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n",
            "os",
            r#"{"codename":"noble","family":"debian","name":"ubuntu","version":"24.04"}"#,
        );
        check("== /proc/meminfo\nMemTotal:        8192000 kB\nSwapTotal: 1024000 kB\n", "memory_mb", "8000");
        check(
            "== /proc/meminfo\nMemTotal: 8192000 kB\n== /sys/fs/cgroup/memory.max\n1073741824\n",
            "memory_mb",
            "1024",
        );
        check("== /proc/meminfo\nMemTotal: 8192000 kB\n== /sys/fs/cgroup/memory.max\nmax\n", "memory_mb", "8000");
        // Version 1 of control groups: its largest number is no limit.
        check(
            "== /proc/meminfo\nMemTotal: 8192000 kB\n== /sys/fs/cgroup/memory/memory.limit_in_bytes\n536870912\n",
            "memory_mb",
            "512",
        );
        check(
            "== /proc/meminfo\nMemTotal: 8192000 kB\n== /sys/fs/cgroup/memory/memory.limit_in_bytes\n9223372036854771712\n",
            "memory_mb",
            "8000",
        );
        check("== /proc/meminfo\nMemTotal: 8192000 kB\nSwapTotal:       2048000 kB\n", "swap_mb", "2000");
        check(
            "== /proc/cpuinfo\nprocessor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: A CPU @ 2 GHz\nphysical id : 0\ncore id : 0\nflags : fpu hypervisor\n\nprocessor\t: 1\nphysical id : 0\ncore id : 0\n",
            "cpu",
            r#"{"cores":1,"model":"A CPU @ 2 GHz","threads":2,"vendor":"GenuineIntel"}"#,
        );
        check(
            "== /sys/block/sda/size\n2097152\n== /sys/block/sda/device/model\nDISK \n== /sys/block/sda/queue/rotational\n1\n== /sys/block/sda/removable\n0\n== /sys/block/loop0/size\n8\n== /sys/block/ram0/size\n8\n",
            "disks",
            r#"[{"model":"DISK","name":"sda","removable":false,"rotational":true,"size_mb":1024}]"#,
        );
        check(
            "== /proc/net/route\nIface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\neth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n",
            "routes",
            r#"[{"destination":"0.0.0.0/0","gateway":"192.168.2.1","interface":"eth0","metric":100},{"destination":"192.168.2.0/24","gateway":null,"interface":"eth0","metric":100}]"#,
        );
        check(
            "== /proc/net/route\nIface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\n",
            "gateway",
            "\"192.168.2.1\"",
        );
        check(
            "== /etc/resolv.conf\n# c\nnameserver 10.0.0.2\nsearch x\nnameserver ::1\n",
            "nameservers",
            r#"["10.0.0.2","::1"]"#,
        );
        check(
            "== /etc/passwd\nroot:x:0:0:root:/root:/bin/bash\nbroken\n",
            "users",
            r#"{"root":{"gid":0,"home":"/root","shell":"/bin/bash","uid":0}}"#,
        );
        check("== /etc/group\nsudo:x:27:al,bob\n", "groups", r#"{"sudo":{"gid":27,"members":["al","bob"]}}"#);
        check(
            "== /var/lib/dpkg/status\nPackage: jq\nStatus: install ok installed\nVersion: 1.6-2\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
            "packages",
            r#"{"jq":"1.6-2"}"#,
        );
        check(
            "== /lib/apk/db/installed\nC:Q1\nP:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.36\n",
            "packages",
            r#"{"busybox":"1.36","musl":"1.2.5-r0"}"#,
        );
        check(
            "== /var/lib/pacman/local/bash-5.2.026-2/desc\n%NAME%\nbash\n\n%VERSION%\n5.2.026-2\n",
            "packages",
            r#"{"bash":"5.2.026-2"}"#,
        );
        check("== /usr/bin/apt-get\n", "package_manager", "\"apt\"");
        check("== /sbin/apk\n", "package_manager", "\"apk\"");
        check(
            "== /etc/init.d/nginx\n== /run/openrc/started/nginx\n== /run/openrc/softlevel\ndefault\n== /etc/runlevels/default/nginx\n== /etc/init.d/other\n",
            "services",
            r#"{"nginx":{"enabled":true,"running":true},"other":{"enabled":false,"running":false}}"#,
        );
        check("== /run/openrc/softlevel\ndefault\n", "init", "\"openrc\"");
        check("== /run/systemd/system/x\n", "init", "\"systemd\"");
        check("== /etc/inittab\n== /proc/1/comm\ninit\n", "init", "\"sysvinit\"");
        check("== /proc/1/comm\nrunit\n", "init", "\"runit\"");
        check("== /proc/1/comm\nbash\n", "init", "\"bash\"");
        check("== /proc/1/environ\nA=b\\0container=lxc\\0\n", "virtualization_kind", "\"lxc\"");
        check("== /.dockerenv\n", "virtualization_kind", "\"docker\"");
        check("== /.dockerenv\n", "virtualization", "\"container\"");
        check(
            "== /sys/class/dmi/id/sys_vendor\nQEMU\n== /proc/cpuinfo\nflags : hypervisor\n",
            "virtualization_kind",
            "\"kvm\"",
        );
        check("== /sys/class/dmi/id/sys_vendor\nDell Inc.\n", "virtualization_kind", "\"none\"");
        check(
            "== /sys/class/dmi/id/sys_vendor\nAmazon EC2\n== /sys/class/dmi/id/board_asset_tag\ni-0abc\n",
            "cloud",
            r#"{"instance":"i-0abc","provider":"aws","region":null,"type":null,"zone":null}"#,
        );
        check(
            "== /run/cloud-init/instance-data.json\n{\"v1\": {\"cloud_name\": \"openstack\", \"instance_id\": \"u\", \"region\": \"r\", \"availability_zone\": \"z\", \"machine\": \"x\"}}\n",
            "cloud",
            r#"{"instance":"u","provider":"openstack","region":"r","type":null,"zone":"z"}"#,
        );
        check("== /sys/class/dmi/id/sys_vendor\nDell Inc.\n", "cloud", "null");
        check("== /etc/timezone\nEurope/Berlin\n", "timezone", "\"Europe/Berlin\"");
        check("== /etc/default/locale\nLANG=\"de_DE.UTF-8\"\n", "locale", "\"de_DE.UTF-8\"");
        check(
            "== /proc/self/mounts\n/dev/sda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n",
            "mounts",
            r#"[{"available_mb":null,"options":["rw","relatime"],"path":"/","size_mb":null,"source":"/dev/sda1","type":"ext4"}]"#,
        );
        check(
            "== /proc/sys/kernel/hostname\nweb-1\n== /etc/hosts\n127.0.1.1 web-1.example.net web-1\n",
            "fqdn",
            "\"web-1.example.net\"",
        );
        check(
            "== /proc/sys/kernel/hostname\nweb-1\n== /etc/hosts\n127.0.1.1 web-1.example.net web-1\n",
            "domain",
            "\"example.net\"",
        );
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = facts(Stage::Live, None);
        assert!(facts.is_wholly_known());
        assert_eq!(facts.ty(), fact_types());
        for name in ["hostname", "architecture", "kernel", "virtualization", "init"] {
            assert!(facts.get_str(name).is_some_and(|text| !text.is_empty()), "{name}");
        }
        assert!(facts.get("memory_mb").and_then(Value::as_number).is_some());
        assert!(facts.get("users").and_then(|users| users.get("root")).is_some());
        let image = super::facts(Stage::Image, None);
        assert!(image.get("cpus").is_some_and(Value::is_null) && image.get("address").is_some_and(Value::is_null));
        assert_eq!(image.get("image").and_then(Value::as_bool), Some(true));
    }
}
