//! Rules of a firewall, with nft as the judge: what each is to be is written by hand into a table beside Andon's, and nft
//! must list both alike.

/// The chain of a rule, its arguments in a role, and the rule as nft(8) has it.
const RULES: [(&str, &str, &str); 12] = [
    ("input", r#"state = ["established", "related"] | action = "accept""#, "ct state { established, related } accept"),
    ("input", r#"state = ["invalid"] | action = "drop""#, "ct state invalid drop"),
    ("input", r#"interface = ["lo"] | action = "accept""#, "iifname lo accept"),
    ("input", r#"ports = [22] | action = "accept""#, "tcp dport 22 accept"),
    (
        "input",
        r#"ports = [80, "8000-8100"] | source = ["10.0.0.0/8", "192.0.2.1"] | action = "accept""#,
        "ip saddr { 10.0.0.0/8, 192.0.2.1 } tcp dport { 80, 8000-8100 } accept",
    ),
    (
        "input",
        r#"protocol = ["udp"] | ports = [53] | source = ["fd00::/8"] | action = "accept""#,
        "ip6 saddr fd00::/8 udp dport 53 accept",
    ),
    (
        "input",
        r#"protocol = ["tcp", "udp"] | ports = [53] | action = "accept""#,
        "meta l4proto { tcp, udp } th dport 53 accept",
    ),
    (
        "input",
        r#"protocol = ["icmp", "icmpv6"] | limit = "10/second burst 20" | action = "accept""#,
        "meta l4proto { icmp, icmpv6 } limit rate 10/second burst 20 packets accept",
    ),
    ("input", r#"log = "dropped " | action = "reject""#, "log prefix \"dropped \" reject"),
    (
        "forward",
        r#"interface = ["eth*"] | out_interface = ["wg0"] | action = "accept""#,
        "iifname eth* oifname wg0 accept",
    ),
    (
        "output",
        r#"destination = ["198.51.100.0-198.51.100.9"] | action = "drop""#,
        "ip daddr 198.51.100.0-198.51.100.9 drop",
    ),
    (
        "output",
        r#"protocol = ["tcp"] | source_ports = ["1024-65535"] | action = "accept""#,
        "tcp sport 1024-65535 accept",
    ),
];

/// A role with all of them.
pub fn role() -> String {
    let mut role = "role \"wall\" {\n  firewall_rule \"else\" { policy = \"drop\" }\n".to_owned();
    for (number, (direction, rule, _)) in RULES.iter().enumerate() {
        let rule = rule.replace(" | ", "\n    ");
        role += &format!("  firewall_rule \"rule {number}\" {{\n    direction = \"{direction}\"\n    {rule}\n  }}\n");
    }
    role + "}\n"
}

/// A table of nft that says the same.
pub fn expected() -> String {
    let mut text = "table inet judge {\n".to_owned();
    for chain in ["input", "forward", "output"] {
        let policy = if chain == "input" { "drop" } else { "accept" };
        text += &format!("chain {chain} {{\ntype filter hook {chain} priority filter; policy {policy};\n");
        text.extend(RULES.iter().filter(|(of, ..)| *of == chain).map(|(.., rule)| format!("{rule}\n")));
        text += "}\n";
    }
    text + "}\n"
}

/// In what the two tables of a listing differ.
pub fn differences(listing: &str) -> String {
    let table = |name: &str| -> Vec<String> {
        let lines = listing.lines().skip_while(|line| *line != format!("table inet {name} {{"));
        let lines = lines.skip(1).take_while(|line| *line != "}");
        lines.map(|line| line.split(" comment \"").next().unwrap_or_default().to_owned()).collect()
    };
    let (andon, judge) = (table("andon"), table("judge"));
    if andon == judge && !judge.is_empty() {
        return String::new();
    }
    format!("the rules of the firewall are\n{}\nand were to be\n{}\n", andon.join("\n"), judge.join("\n"))
}
