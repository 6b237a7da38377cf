//! Networks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Found};
use andon_value::{Type, Value};

use crate::Test;
use crate::world::{OWNER, World, config, lab, run};

pub const TESTS: &[Test] = &[
    ("network_comes_and_goes", comes_and_goes),
    ("network_ranges_do_not_collide", ranges_do_not_collide),
    ("network_changes_in_place", changes_in_place),
    ("network_that_was_removed_by_hand_comes_back", removed_by_hand),
    ("network_that_was_removed_by_hand_loses_its_range", loses_its_range),
    ("network_that_nobody_knows_of_is_cleared_away", cleared_away),
    ("network_passes_a_firewall_that_drops", passes_a_firewall),
    ("network_lets_in_what_it_allows", lets_in),
    ("network_leads_outside_by_this_machines_address", leads_outside),
    ("network_stops_forged_senders", stops_forged_senders),
    ("network_hears_nothing_but_ipv4_of_its_servers", hears_nothing_else),
    ("network_keeps_consoles_short", keeps_consoles_short),
    ("sweep_finds_what_no_ledger_knows", sweeps),
    ("plan_says_what_is_wrong", plans),
    ("plan_knows_what_this_machine_has", foreseen),
];

const KIND: &str = "lab_network";

fn comes_and_goes(world: &World) {
    let (identity, value) = world.create(KIND, &[("name", "app".into())]).unwrap();
    let gateway = value.get_str("gateway").unwrap();
    assert_eq!(value.get_str("id"), Some(identity.as_str()));
    assert!(run("ip", &["addr", "show", &format!("an{identity}")]).contains(&format!("inet {gateway}/32")));
    // What has no server is said at once to be unreachable.
    let closed = format!("unreachable {}", value.get_str("cidr").unwrap());
    // Routes of others than the kernel do not outlive systemd-networkd's setting up of a link.
    assert!(run("ip", &["route", "list", "proto", "kernel"]).contains(&closed));
    assert!(run("nft", &["list", "table", "ip", &format!("andon_{identity}")]).contains("masquerade"));
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
    world.delete(KIND, &identity);
}

fn ranges_do_not_collide(world: &World) {
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| world.create(KIND, &[]).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ranges: std::collections::BTreeSet<_> = made.iter().map(|(_, value)| value.get_str("cidr").unwrap()).collect();
    assert_eq!(ranges.len(), 6);
    let taken = *ranges.first().unwrap();
    let failure = world.create(KIND, &[("cidr", taken.into())]).unwrap_err();
    assert!(failure.summary.contains(taken) && failure.detail.contains("lab's network"), "{failure}");
    let failure = world.create(KIND, &[("cidr", "10.64.0.0/12".into())]).unwrap_err();
    assert!(failure.summary.contains("is taken"), "{failure}");
    // Another lab of this machine keeps away too.
    let folder = tempfile::tempdir().unwrap();
    let other = lab(folder.path());
    let identity = world.identity();
    let (planned, _) = other.plan(KIND, None, &config(KIND, &[])).unwrap();
    let value = other.create(KIND, &identity, &planned, &CreateExtra::default()).unwrap().value;
    assert!(!ranges.contains(value.get_str("cidr").unwrap()));
    let failure = world.create(KIND, &[("cidr", value.get_str("cidr").unwrap().into())]).unwrap_err();
    assert!(failure.detail.contains("route"), "{failure}");
    other.delete(KIND, &identity).unwrap();
    for (identity, _) in made {
        world.delete(KIND, &identity);
    }
    let (identity, value) = world.create(KIND, &[("cidr", "10.99.0.0/28".into())]).unwrap();
    assert_eq!(value.get_str("gateway"), Some("10.99.0.1"));
    world.delete(KIND, &identity);
}

fn changes_in_place(world: &World) {
    let (identity, value) = world.create(KIND, &[]).unwrap();
    let has_table = || run("nft", &["list", "table", "ip", &format!("andon_{identity}")]).contains("masquerade");
    let value =
        world.update(KIND, &identity, &value, &[("masquerade", false.into()), ("name", "a".into())]).unwrap().value;
    assert!(!has_table());
    let value = world.update(KIND, &identity, &value, &[("masquerade", true.into())]).unwrap().value;
    assert!(has_table());
    run("nft", &["delete", "table", "ip", &format!("andon_{identity}")]);
    let drifted = world.lab.read(KIND, &identity, &value).unwrap().unwrap();
    assert_eq!(drifted.get("up"), Some(&Value::from(false)));
    world.update(KIND, &identity, &drifted, &[]).unwrap();
    assert!(has_table());
    world.delete(KIND, &identity);
}

fn removed_by_hand(world: &World) {
    let (identity, value) = world.create(KIND, &[]).unwrap();
    let interface = format!("an{identity}");
    let cidr = value.get_str("cidr").unwrap();
    for command in [
        &["link", "set", &interface, "down"][..],
        &["link", "delete", &interface],
        &["route", "delete", "unreachable", cidr],
    ] {
        run("ip", command);
        let down = world.lab.read(KIND, &identity, &value).unwrap().unwrap();
        assert_eq!(down.get("up"), Some(&Value::from(false)), "{command:?}");
        assert_eq!(world.lab.resolve(KIND, &identity).unwrap(), Found::Partial);
        assert_eq!(world.update(KIND, &identity, &down, &[]).unwrap().value, value, "{command:?}");
        assert_eq!(world.lab.read(KIND, &identity, &value).unwrap().as_ref(), Some(&value));
    }
    world.delete(KIND, &identity);
    assert!(!run("ip", &["route"]).contains(cidr));
}

/// Another lab takes the range of a network that is down: it keeps it, whatever becomes of that network.
fn loses_its_range(world: &World) {
    let (lost, value) = world.create(KIND, &[]).unwrap();
    run("ip", &["link", "delete", &format!("an{lost}")]);
    let folder = tempfile::tempdir().unwrap();
    let other = lab(folder.path());
    let cidr = value.get_str("cidr").unwrap();
    let (planned, _) = other.plan(KIND, None, &config(KIND, &[("cidr", cidr.into())])).unwrap();
    let taker = world.identity();
    let taken = other.create(KIND, &taker, &planned, &CreateExtra::default()).unwrap().value;
    let failure = world.update(KIND, &lost, &value, &[]).unwrap_err();
    assert!(failure.summary.contains(cidr) && failure.detail.contains("was down"), "{failure}");
    world.delete(KIND, &lost);
    assert_eq!(other.read(KIND, &taker, &taken).unwrap().as_ref(), Some(&taken));
    other.delete(KIND, &taker).unwrap();
}

/// As where a data directory was removed, and the interfaces that were seen.
fn cleared_away(world: &World) {
    if !alone("network_that_nobody_knows_of_is_cleared_away") {
        return;
    }
    let (living, of_living) = world.create(KIND, &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = lab(folder.path());
    let identity = world.identity();
    let cidr = "10.99.1.0/24";
    let (planned, _) = other.plan(KIND, None, &config(KIND, &[("cidr", cidr.into())])).unwrap();
    other.create(KIND, &identity, &planned, &CreateExtra::default()).unwrap();
    // A route of somebody else's is none of the lab's business.
    run("ip", &["route", "add", "unreachable", "10.64.200.0/24"]);
    run("sh", &["-c", &format!("kill -9 $(pgrep -f '__lab-names.*{identity}')")]);
    run("ip", &["link", "delete", &format!("an{identity}")]);
    fs::remove_dir_all(folder.path()).unwrap();
    let table = |identity: &andon_schema::Identity| {
        run("nft", &["list", "tables"]).contains(&format!("table ip andon_{identity}"))
    };
    assert!(table(&identity) && run("ip", &["route"]).contains(&format!("unreachable {cidr}")));
    let (next, _) = world.create(KIND, &[("cidr", cidr.into())]).unwrap();
    assert!(!table(&identity) && table(&living) && table(&next));
    let routes = run("ip", &["route"]);
    for kept in [of_living.get_str("cidr").unwrap(), cidr, "10.64.200.0/24"] {
        assert_eq!(routes.matches(&format!("unreachable {kept}")).count(), 1, "{routes}");
    }
    world.delete(KIND, &living);
    world.delete(KIND, &next);
    let routes = run("ip", &["route"]);
    assert!(!routes.contains(cidr), "{routes}");
    // Its group of processes is empty, and nobody knows of it.
    for root in ["/sys/fs/cgroup/unified/andon", "/sys/fs/cgroup/andon"] {
        let _ = fs::remove_dir(Path::new(root).join(identity.as_str()));
    }
    for entry in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let _ = fs::remove_dir(entry.path().join("andon").join(identity.as_str()));
    }
}

/// Whether a test is to go on: it does in a network namespace of its own, in a process of its own, which this waits for.
fn alone(test: &str) -> bool {
    if std::env::var_os("ANDON_TEST_ALONE").is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let again = "ip link set lo up && exec \"$0\" \"$1\"";
    let alone = std::process::Command::new("unshare")
        .args(["-n", "sh", "-c", again, program.to_str().unwrap(), test])
        .env("ANDON_TEST_ALONE", "1")
        .status();
    assert!(alone.unwrap().success());
    false
}

/// Packets to an address outside of the lab, and whose they are there. The outside is a network namespace of its own, and so
/// is this machine.
fn leads_outside(world: &World) {
    if crate::world::root().is_none() || !alone("network_leads_outside_by_this_machines_address") {
        return;
    }
    let mut outside = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let of_outside = format!("/proc/{}/ns/net", outside.id());
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_link(&of_outside).is_ok_and(|it| it == own) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let peer = outside.id().to_string();
    run("ip", &["link", "add", "out", "type", "veth", "peer", "name", "in", "netns", &peer]);
    run("sh", &["-c", "ip address add 198.18.0.1/30 dev out && ip link set out up"]);
    let there = |command: &str| run("nsenter", &["-t", &peer, "-n", "sh", "-c", command]);
    // The outside knows the way to the servers, so that nothing but the translation decides what it sees.
    there("ip address add 198.18.0.2/30 dev in && ip link set in up && ip route add default via 198.18.0.1");
    // Whoever listens there is there; the socket stays there also when the thread is not.
    let socket = std::thread::scope(|scope| {
        let open = || {
            nix::sched::setns(fs::File::open(&of_outside).unwrap(), nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            std::net::UdpSocket::bind("198.18.0.2:9999").unwrap()
        };
        scope.spawn(open).join().unwrap()
    });
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (app, value) = world.create(KIND, &[]).unwrap();
    let given =
        [("name", "s".into()), ("image", "i".into()), ("network", app.as_str().into()), ("init", "andon".into())];
    let (server, of_server) = world.create("lab_server", &given).unwrap();
    let own = of_server.get_str("address").unwrap();
    let seen = |word: &str| {
        let said = crate::world::inside(&server, &format!("bash -c 'echo {word} >/dev/udp/198.18.0.2/9999'"));
        assert_eq!(said, "");
        let mut text = [0; 100];
        let (count, from) = socket.recv_from(&mut text).unwrap();
        assert_eq!(text[..count], *format!("{word}\n").as_bytes());
        from.ip().to_string()
    };
    assert_eq!(seen("one"), "198.18.0.1");
    let value = world.update(KIND, &app, &value, &[("masquerade", false.into())]).unwrap().value;
    assert_eq!(seen("two"), own);
    world.update(KIND, &app, &value, &[("masquerade", true.into())]).unwrap();
    assert_eq!(seen("three"), "198.18.0.1");
    world.delete("lab_server", &server);
    world.delete(KIND, &app);
    outside.kill().unwrap();
    outside.wait().unwrap();
}

/// As container daemons set it up, before and after. In a network namespace of its own: a firewall is everybody's.
fn passes_a_firewall(world: &World) {
    if !alone("network_passes_a_firewall_that_drops") {
        return;
    }
    let rules = || run("nft", &["list", "table", "ip", "test_firewall"]);
    // One that ends with a refusal, as firewalld has it, and one of what ends here, whom servers ask for names.
    let firewall = "add table ip test_firewall; \
                    add chain ip test_firewall FORWARD { type filter hook forward priority 0; policy drop; }; \
                    add chain ip test_firewall refused { type filter hook forward priority 10; }; \
                    add rule ip test_firewall refused ct state invalid drop; \
                    add rule ip test_firewall refused counter reject; \
                    add chain ip test_firewall INPUT { type filter hook input priority 0; policy drop; }";
    run("nft", &[firewall]);
    // And one of `iptables`, which shows none of what it cannot read.
    let iptables = |arguments: &[&str]| std::process::Command::new("iptables").args(arguments).output().ok();
    let has_iptables = iptables(&["-P", "INPUT", "DROP"]).is_some_and(|said| said.status.success());
    if !has_iptables {
        println!("in part skipped: there is no iptables that works");
    }
    let (identity, value) = world.create(KIND, &[]).unwrap();
    if has_iptables {
        let said = iptables(&["-S", "INPUT"]).unwrap();
        let shown = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success() && shown.matches("--dport 53").count() == 2, "{said:?}");
    }
    let accepting = format!("comment \"andon_{identity}\"");
    assert_eq!(rules().matches(&accepting).count(), 6, "{}", rules());
    // It is set up anew, as when its daemon is started again: then the network is down, until the next apply.
    run("nft", &["delete", "table", "ip", "test_firewall"]);
    assert_eq!(world.lab.read(KIND, &identity, &value).unwrap().as_ref(), Some(&value));
    run("nft", &[firewall]);
    let down = world.lab.read(KIND, &identity, &value).unwrap().unwrap();
    assert_eq!(down.get("up"), Some(&Value::from(false)));
    world.update(KIND, &identity, &down, &[]).unwrap();
    assert_eq!(rules().matches(&accepting).count(), 6, "{}", rules());
    if let Some(named) = crate::world::root().map(|_| ("name", Value::from("n"))) {
        let update = world.update(KIND, &identity, &value, &[named]).unwrap().value;
        let server = [("name", "s".into()), ("image", "i".into()), ("init", "andon".into())];
        let server = [&server[..], &[("network", identity.as_str().into())]].concat();
        let (server, _) = world.create("lab_server", &server).unwrap();
        let asked = crate::world::inside(&server, "getent hosts s.n.lab");
        assert!(asked.contains("s.n.lab"), "{asked}");
        // All else of this machine stays behind its firewall.
        let gateway = update.get_str("gateway").unwrap();
        let socket = std::net::TcpListener::bind((gateway, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let knock = format!("timeout 1 bash -c ': </dev/tcp/{gateway}/{port}'; echo $?");
        assert!(crate::world::inside(&server, &knock).trim().ends_with("124"));
        world.delete("lab_server", &server);
    }
    world.delete(KIND, &identity);
    assert!(rules().contains("FORWARD") && !rules().contains("comment"), "{}", rules());
}

/// Whatever this machine's settings make of a server's link, nobody believes there what it says of who has which address, and
/// nothing comes by IPv6.
fn hears_nothing_else(world: &World) {
    if crate::world::root().is_none() {
        return;
    }
    let (app, network) = world.create(KIND, &[]).unwrap();
    let own = [("name", "s".into()), ("image", "i".into()), ("init", "andon".into())];
    let (server, of_server) =
        world.create("lab_server", &[&own[..], &[("network", app.as_str().into())]].concat()).unwrap();
    let (link, gateway) = (format!("av{server}"), network.get_str("gateway").unwrap());
    let set = |name: &str, value: &str| fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
    let says = |command: &str| crate::world::inside(&server, command);

    let has_version_6 = Path::new("/proc/sys/net/ipv6").exists();
    if !has_version_6 {
        println!("in part skipped: this machine has no IPv6");
    } else {
        set(&format!("ipv6/conf/{link}/accept_dad"), "0");
        set(&format!("ipv6/conf/{link}/disable_ipv6"), "0");
        let shown = run("ip", &["-6", "-o", "addr", "show", "dev", &link, "scope", "link"]);
        let address =
            shown.split_whitespace().find_map(|word| word.strip_suffix("/64")).unwrap_or_else(|| panic!("{shown}"));
        let mac = fs::read_to_string(format!("/sys/class/net/{link}/address")).unwrap();
        assert_eq!(says(&format!("ip -6 neigh replace {address} dev eth0 lladdr {}", mac.trim())), "");
        let began = std::time::Instant::now();
        while !says("ip -6 -o addr show dev eth0 scope link -tentative").contains("fe80") {
            assert!(began.elapsed().as_secs() < 30, "{}", says("ip addr"));
        }
        let socket = std::net::UdpSocket::bind("[::]:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let port = socket.local_addr().unwrap().port();
        // What comes until something comes by IPv4, which is sent after it.
        let comes = || {
            let send = format!("bash -c 'echo 6 >/dev/udp/{address}%eth0/{port}; echo 4 >/dev/udp/{gateway}/{port}'");
            let said = says(&send);
            let mut came = String::new();
            while !came.contains('4') {
                let mut letter = [0; 2];
                socket.recv(&mut letter).unwrap_or_else(|error| panic!("{error}: {said} {came}"));
                came.push(char::from(letter[0]));
            }
            came
        };
        assert_eq!(comes(), "4");
        // The rules are for a group of links, so that those of any network of this machine, also of another test, hold for it.
        let group = fs::read_to_string(format!("/sys/class/net/{link}/netdev_group")).unwrap();
        run("ip", &["link", "set", "dev", &link, "group", "0"]);
        assert_eq!(comes(), "64", "this is what is stopped");
        run("ip", &["link", "set", "dev", &link, "group", group.trim()]);
        run("nft", &["delete", "table", "ip6", &format!("andon_{app}")]);
        let now = world.lab.read(KIND, &app, &network).unwrap().unwrap();
        assert_eq!(now.get("up"), Some(&Value::from(false)), "what was removed is missed");
        world.update(KIND, &app, &now, &[]).unwrap();
        assert_eq!(comes(), "4");
    }

    set(&format!("ipv4/conf/{link}/rp_filter"), "0");
    let claim = format!(
        "ip addr replace 192.0.2.77/32 dev eth0; ip neigh del {gateway} dev eth0; ping -c1 -W1 -I 192.0.2.77 {gateway}; ip neigh"
    );
    let said = says(&claim);
    let known = || run("ip", &["neigh", "show", "dev", &link]);
    let only = format!("{} lladdr", of_server.get_str("address").unwrap());
    assert!(known().contains(&only) && !known().contains("192.0.2.77"), "{said} {}", known());
    run("ip", &["link", "set", &link, "arp", "on"]);
    let said = says(&claim);
    assert!(known().contains("192.0.2.77"), "this is what is not believed: {said} {}", known());
    world.delete("lab_server", &server);
    world.delete(KIND, &app);
}

/// Of a server whose init is not the lab's own, or has no command that it watches.
fn keeps_consoles_short(world: &World) {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (app, _) = world.create(KIND, &[]).unwrap();
    let given = [("name", "s".into()), ("image", "i".into()), ("network", app.as_str().into())];
    let server = world.identity();
    let (planned, _) = world.lab.plan("lab_server", None, &config("lab_server", &given)).unwrap();
    let extra =
        CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![folder.path().to_owned()], ..Default::default() };
    world.lab.create("lab_server", &server, &planned, &extra).unwrap();
    let path = world.data.path().join("servers").join(server.as_str()).join("console.log");
    // As its init has it, which goes on with this file for as long as it lives.
    let mut console = fs::File::options().append(true).open(&path).unwrap();
    let said = || String::from_utf8(world.lab.console(&server).unwrap()).unwrap();
    // The second time, what is written goes on after what was cut.
    for lines in [0..400_000, 400_000..400_100_u32] {
        let text: String = lines.clone().map(|number| format!("{number}\n")).collect();
        console.write_all(text.as_bytes()).unwrap();
        let began = std::time::Instant::now();
        while fs::metadata(&path).unwrap().blocks() * 512 > 2 << 20 {
            assert!(began.elapsed().as_secs() < 60, "{:?}", fs::metadata(&path));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let kept: Vec<u32> = said().lines().map(|line| line.parse().unwrap()).collect();
        assert!(kept.len() > 50_000 && kept.windows(2).all(|two| two[0] + 1 == two[1]));
        assert_eq!(kept.last(), Some(&(lines.end - 1)));
    }
    world.delete("lab_server", &server);
    world.delete(KIND, &app);
}

fn sweeps(world: &World) {
    let (known, _) = world.create(KIND, &[("name", "known".into())]).unwrap();
    let (unknown, _) = world.create(KIND, &[("name", "unknown".into())]).unwrap();
    let all = [known.clone()].into();
    assert_eq!(world.lab.sweep(&all, "other/default"), Vec::<String>::new());
    let left = world.lab.leftovers(&all, OWNER);
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].identity, left[0].name.as_deref()), (&unknown, Some("unknown")));
    let said = world.lab.sweep(&all, OWNER);
    assert!(said.len() == 1 && said[0].starts_with("removed lab_network `unknown`"), "{said:?}");
    assert!(!Path::new("/sys/class/net").join(format!("an{unknown}")).exists());
    world.delete(KIND, &known);
}

fn plans(world: &World) {
    let check = |kind: &str, given: &[(&str, Value)], word: &str| {
        let failure = world.lab.plan(kind, None, &config(kind, given)).unwrap_err();
        assert!(failure.to_string().contains(word), "{failure}");
    };
    check(KIND, &[("cidr", "10.64.1.7/24".into())], "inside a range");
    check("lab_server", &[("image", "a".into()), ("name", "a b".into())], "host name");
    check("lab_balancer", &[("listen", "8080".into())], "port");
    let unknown = Value::unknown(Type::String);
    let given = [("name", "web".into()), ("image", unknown.clone()), ("network", unknown)];
    let (planned, _) = world.lab.plan("lab_server", None, &config("lab_server", &given)).unwrap();
    assert!(planned.get("image").unwrap().is_unknown());
    assert!(world.lab.plan("lab_nothing", None, &Value::NULL).is_err());
}

/// Entries of `allow`.
fn allow(entries: &[(&str, &[&str])]) -> Value {
    let texts = |texts: &[&str]| Value::list(Type::String, texts.iter().map(|text| Value::from(*text)));
    let entry = |(from, ports): &(&str, &[&str])| Value::object([("from", texts(&[from])), ("ports", texts(ports))]);
    let list = Type::list(Type::String);
    Value::list(Type::object([("from", list.clone()), ("ports", list)]), entries.iter().map(entry))
}

fn lets_in(world: &World) {
    if crate::world::root().is_none() {
        return;
    }
    let (app, _) = world.create(KIND, &[]).unwrap();
    let (other, _) = world.create(KIND, &[]).unwrap();
    let id = app.to_string();
    let (data, value) = world.create(KIND, &[("allow", allow(&[(&id, &["tcp/5432", "udp/5000-5001"])]))]).unwrap();
    let server = |network: &andon_schema::Identity| {
        let given = [
            ("name", "s".into()),
            ("image", "i".into()),
            ("network", network.as_str().into()),
            ("init", "andon".into()),
        ];
        world.create("lab_server", &given).unwrap()
    };
    let [(client, of_client), (stranger, _), (store, of_store), (beside, _)] = [&app, &other, &data, &data].map(server);
    let address = of_store.get_str("address").unwrap();
    // Both ends with what every image has: bash and its sockets; the store listens by the supervisor's own port.
    let dial = |from: &andon_schema::Identity, to: &str, port: u16| {
        let script = format!("exec 3<>/dev/tcp/{to}/{port} && echo open");
        crate::world::inside(from, &format!("timeout 3 bash -c '{script}' 2>&1")).trim().to_owned()
    };
    let supervisor = 7780;
    // The port that answers is none that is let in, but for those within.
    assert!(dial(&client, address, supervisor).contains("No route to host"), "{}", dial(&client, address, supervisor));
    assert_eq!(dial(&beside, address, supervisor), "open");
    assert!(dial(&stranger, address, supervisor).contains("No route to host"));
    // What is let in finds nobody there, which is another answer.
    assert!(dial(&client, address, 5432).contains("Connection refused"));
    assert!(dial(&stranger, address, 5432).contains("No route to host"));
    // The other way is open, and answers come back.
    assert_eq!(dial(&store, of_client.get_str("address").unwrap(), supervisor), "open");
    let value = world
        .update(KIND, &data, &value, &[("allow", allow(&[(&id, &["tcp/7780"]), (&id, &["icmp"])]))])
        .unwrap()
        .value;
    assert_eq!(dial(&client, address, supervisor), "open");
    assert!(dial(&stranger, address, supervisor).contains("No route to host"));
    // Rules that somebody removed are missed.
    run("nft", &["flush", "table", "ip", &format!("andon_{data}")]);
    run("nft", &["delete", "table", "ip", &format!("andon_{data}")]);
    let now = world.lab.read(KIND, &data, &value).unwrap().unwrap();
    assert_eq!(now.get("up"), Some(&Value::from(false)));
    let value = world.update(KIND, &data, &now, &[("allow", allow(&[("0.0.0.0/0", &["tcp/7780"])]))]).unwrap().value;
    assert_eq!(dial(&stranger, address, supervisor), "open");
    let value = world.update(KIND, &data, &value, &[("allow", allow(&[]))]).unwrap().value;
    assert!(dial(&client, address, supervisor).contains("No route to host"));
    world.update(KIND, &data, &value, &[]).unwrap();
    assert_eq!(dial(&stranger, address, supervisor), "open");
    for server in [&client, &stranger, &store, &beside] {
        world.delete("lab_server", server);
    }
    for network in [&app, &other, &data] {
        world.delete(KIND, network);
    }
}

/// Where this machine's settings turn the links' own filter off, as an udev that applies them to new links does.
fn stops_forged_senders(world: &World) {
    if crate::world::root().is_none() {
        return;
    }
    let (app, _) = world.create(KIND, &[]).unwrap();
    let (other, _) = world.create(KIND, &[]).unwrap();
    let (data, _) = world.create(KIND, &[("allow", allow(&[(app.as_str(), &["udp/9"])]))]).unwrap();
    let [(client, of_client), (stranger, _), (store, of_store)] = [&app, &other, &data].map(|network| {
        let own = [("name", "s".into()), ("image", "i".into()), ("init", "andon".into())];
        world.create("lab_server", &[&own[..], &[("network", network.as_str().into())]].concat()).unwrap()
    });
    for server in [&client, &stranger] {
        fs::write(format!("/proc/sys/net/ipv4/conf/av{server}/rp_filter"), "0").unwrap();
    }
    let (client_is, store_is) = (of_client.get_str("address").unwrap(), of_store.get_str("address").unwrap());
    // Nobody listens there; the kernel counts what came.
    let came = || -> u64 {
        let counts = crate::world::inside(&store, "grep ^Udp: /proc/net/snmp | tail -1");
        counts.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    let send = |from: &andon_schema::Identity| {
        let said = crate::world::inside(
            from,
            &format!("for i in 1 2 3; do bash -c 'echo x >/dev/udp/{store_is}/9'; done; true"),
        );
        // The first packet is there before the next is sent to a closed port, which is then refused.
        assert!(said.is_empty() || said.contains("refused"), "{said}");
    };
    let before = came();
    send(&client);
    assert!(came() > before, "what is let in came");
    let before = came();
    let forge = format!(
        "ip addr add {client_is}/32 dev eth0 && gw=$(ip route show default | cut -d' ' -f3) && ip route add {store_is} via $gw dev eth0 onlink src {client_is}"
    );
    assert_eq!(crate::world::inside(&stranger, &forge), "");
    send(&stranger);
    assert_eq!(came(), before, "what was forged came");
    for server in [&client, &stranger, &store] {
        world.delete("lab_server", server);
    }
    for network in [&app, &other, &data] {
        world.delete(KIND, network);
    }
}

fn foreseen(world: &World) {
    let given = [("name", Value::from("app")), ("cidr", "10.99.9.0/29".into())];
    let (network, value) = world.create("lab_network", &given).unwrap();
    let (share, _) = world.create("lab_share", &[]).unwrap();
    let elsewhere = World::new();
    let (other, _) = elsewhere.create("lab_network", &[("cidr", "10.99.9.64/29".into())]).unwrap();
    let check = |owner: &str, kind: &str, given: &[(&str, Value)], expected: &str| {
        let (planned, _) = world.lab.plan(kind, None, &config(kind, given)).unwrap();
        let found = world.lab.check_here(kind, (owner, None), None, &planned);
        let said = found.err().map_or("sound".to_owned(), |failure| format!("{failure} {}", failure.detail));
        assert!(said.contains(expected), "{kind} {given:?}: {said}");
    };
    let of = |id: &str| Value::map(Type::String, [("/srv", Value::from(id))]);
    let server = |network: &str, more: &[(&'static str, Value)], expected: &str| {
        let own = [("name", Value::from("web")), ("image", "i".into()), ("network", network.into())];
        check(OWNER, "lab_server", &[&own[..], more].concat(), expected);
    };
    server(network.as_str(), &[], "sound");
    server(network.as_str(), &[("address", "10.99.9.6".into()), ("shares", of(share.as_str()))], "sound");
    server(network.as_str(), &[("address", "10.99.9.1".into())], "gateway");
    for outside in ["10.99.9.0", "10.99.9.7", "10.99.10.2"] {
        server(network.as_str(), &[("address", outside.into())], "The network has 10.99.9.0/29");
    }
    server(share.as_str(), &[], "there is no network");
    server(network.as_str(), &[("volumes", of(share.as_str()))], "there is no volume");
    server(network.as_str(), &[("read_only_shares", of(network.as_str()))], "there is no share");
    // What is nothing of the lab may be a test's.
    server("mocked", &[("volumes", of("another"))], "sound");
    let unknown = Value::map(Type::String, [("/srv", Value::unknown(Type::String))]);
    server(network.as_str(), &[("address", Value::unknown(Type::String)), ("volumes", unknown)], "sound");
    // What the same environment has now, its own plan may take away.
    let range = |cidr: &str| [("cidr", Value::from(cidr))];
    check(OWNER, "lab_network", &range("10.99.9.0/28"), "sound");
    check("other", "lab_network", &range("10.99.9.0/28"), "`app` has 10.99.9.0/29");
    let (planned, _) = world.lab.plan("lab_network", None, &config("lab_network", &range("10.99.9.0/28"))).unwrap();
    world.lab.check_here("lab_network", (OWNER, Some("production")), None, &planned).unwrap();
    check(OWNER, "lab_network", &range("10.99.9.0/24"), "already has a route to 10.99.9.64/29");
    // What another project has is its own, unless that may be this one, moved.
    let project = tempfile::tempdir().unwrap();
    let owner = project.path().display().to_string();
    let (planned, _) = world.lab.plan("lab_network", None, &config("lab_network", &range("10.99.9.128/29"))).unwrap();
    let moved = world.identity();
    let extra = CreateExtra { owner, ..Default::default() };
    world.lab.create("lab_network", &moved, &planned, &extra).unwrap();
    check(OWNER, "lab_network", &range("10.99.9.128/29"), "has 10.99.9.128/29");
    project.close().unwrap();
    check(OWNER, "lab_network", &range("10.99.9.128/29"), "sound");
    world.delete("lab_network", &moved);
    check(OWNER, "lab_snapshot", &[("volume", share.as_str().into())], "there is no volume");
    let volume = [("size", Value::from("64M")), ("snapshot", share.as_str().into())];
    check(OWNER, "lab_volume", &volume, "there is no snapshot");
    // What stays as it is, is not judged again.
    world.lab.check_here("lab_network", ("other", None), Some(&value), &value).unwrap();
    elsewhere.delete("lab_network", &other);
    world.delete("lab_share", &share);
    world.delete("lab_network", &network);
    elsewhere.assert_nothing_left();
}
