//! Packages, from a repository that the test makes on each machine.

use std::path::Path;

use serde_json::json;

use super::seed::{Seed, Start};

/// Where the repository is.
const REPOSITORY: &str = "/srv/judge/packages";

/// Makes each package in two versions, and the repository the only place that packages come from.
const MAKE: &str = r#"
export SOURCE_DATE_EPOCH=0
mkdir -p "$1"
cd "$1"
for name in one two three four; do
  for version in 1.0 2.0; do
    mkdir -p "in/DEBIAN" "in/usr/share/judge-$name"
    printf 'Package: judge-%s\nVersion: %s\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n' \
      $name $version > in/DEBIAN/control
    echo "$version" > "in/usr/share/judge-$name/version"
    dpkg-deb --root-owner-group -Znone --build in "judge-${name}_$version.deb" > /dev/null
    rm -r in
  done
done
dpkg-scanpackages -m . > Packages 2> /dev/null
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo "deb [trusted=yes] file:$1 ./" > /etc/apt/sources.list
apt-get -q update > /dev/null 2>&1
"#;

impl Seed {
    /// Packages in versions, the newest, held, taken away: once on a machine.
    pub fn packages(&mut self) {
        let needed = ["/usr/bin/dpkg-scanpackages", "/usr/lib/python3/dist-packages/apt"];
        if let Some(missing) = needed.iter().find(|path| !Path::new(path).exists()) {
            println!("skipped: packages are not judged, as there is no {missing}");
            return;
        }
        self.start.push(Start::Made { path: REPOSITORY.to_owned(), by: MAKE.to_owned() });
        let mut before = Vec::new();
        for name in ["one", "two", "three", "four"] {
            let version = self.pick(&["", "1.0", "2.0"]);
            // An older version in the place of a newer one is another wish.
            let version = if name == "one" && version == "2.0" { "1.0" } else { version };
            if !version.is_empty() {
                before.push(format!("judge-{name}_{version}.deb"));
            }
        }
        if !before.is_empty() {
            let by = format!("cd {REPOSITORY}; dpkg -i {} > /dev/null 2>&1", before.join(" "));
            self.start.push(Start::Made { path: "judge-".to_owned(), by });
        }
        let hold = self.chance(2);
        let tasks = vec![
            ("apt", json!({ "name": "judge-one=1.0" })),
            ("dpkg_selections", json!({ "name": "judge-one", "selection": if hold { "hold" } else { "install" } })),
        ];
        self.wishes("judge-one", tasks, ("package", json!({ "version": "1.0", "hold": hold })));
        let arguments = json!({ "name": "judge-two", "state": "latest" });
        self.wish("judge-two", ("apt", arguments), ("package", json!({ "latest": true })));
        let arguments = json!({ "name": "judge-three", "state": "absent", "purge": true });
        self.wish("judge-three", ("apt", arguments), ("package", json!({ "absent": true, "purge": true })));
        self.wish("judge-four", ("apt", json!({ "name": "judge-four" })), ("package", json!({})));
    }
}
