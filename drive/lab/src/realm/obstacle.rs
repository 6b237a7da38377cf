//! Why the kernel gives a user without root no namespaces, or none of use, and what its root can do.

use std::io;

use andon_schema::Failure;

/// A setting of the kernel that forbids namespaces, or some of what is done in them: what it must be, and what it says.
struct Switch {
    name: &'static str,
    forbids: fn(u64) -> bool,
    means: &'static str,
    /// The value with which a user's lab works.
    wanted: &'static str,
}

/// Those that keep a namespace from being made.
const NONE_MADE: [Switch; 5] = [
    // Debian's own.
    Switch {
        name: "kernel.unprivileged_userns_clone",
        forbids: |value| value == 0,
        means: "lets only root make user namespaces",
        wanted: "1",
    },
    Switch {
        name: "user.max_user_namespaces",
        forbids: |value| value < FEW,
        means: "lets nobody make more user namespaces",
        wanted: "100000",
    },
    Switch {
        name: "user.max_mnt_namespaces",
        forbids: |value| value < FEW,
        means: "lets nobody make more mount namespaces",
        wanted: "100000",
    },
    Switch {
        name: "user.max_net_namespaces",
        forbids: |value| value < FEW,
        means: "lets nobody make more network namespaces",
        wanted: "100000",
    },
    // Alt's, and hardened kernels'.
    Switch {
        name: "kernel.userns_restrict",
        forbids: |value| value != 0,
        means: "lets only root make user namespaces",
        wanted: "0",
    },
];
/// Fewer are used up by one lab, whose servers have one of each.
const FEW: u64 = 8;

/// The one that lets namespaces be made in which root may do nothing: Ubuntu's, from 23.10 on.
const POWERLESS: Switch = Switch {
    name: "kernel.apparmor_restrict_unprivileged_userns",
    forbids: |value| value != 0,
    means: "lets only programs with a profile of AppArmor that says so have rights in their user namespaces",
    wanted: "0",
};

/// Why namespaces cannot be made, by how the kernel refused them and its settings.
pub(super) fn to_namespaces(error: &io::Error, setting: &dyn Fn(&str) -> Option<String>) -> Failure {
    let summary = "this machine lets only root have namespaces";
    if let Some(failure) = NONE_MADE.iter().chain([&POWERLESS]).find_map(|switch| switch.failure(summary, setting)) {
        return failure;
    }
    let detail = format!("The kernel gives this user no namespaces: {}.", without_number(error));
    let help = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => {
            "As many as are allowed are in use, or they are nested too deep: `sysctl user.max_user_namespaces` says how many are allowed."
        }
        Some(libc::EPERM) => {
            "No setting of the kernel says so, so it is what this runs in: a container, whose filter of system calls forbids it, or a chroot, where the kernel does. Run this outside of that, or with sudo."
        }
        Some(libc::EINVAL | libc::ENOSYS) => {
            "This kernel was built without namespaces of users (CONFIG_USER_NS). Run this with sudo."
        }
        _ => "Run this with sudo.",
    };
    Failure::new(summary, detail).help(help)
}

/// Why nothing can be done in namespaces that were made, where a setting says so.
pub(super) fn to_work(error: &io::Error, setting: &dyn Fn(&str) -> Option<String>) -> Option<Failure> {
    let is_refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES));
    is_refused.then(|| POWERLESS.failure("this machine gives users without root namespaces without rights", setting))?
}

/// The value of a setting, as `/proc/sys` has it.
pub(super) fn setting(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()
}

impl Switch {
    fn failure(&self, summary: &str, setting: &dyn Fn(&str) -> Option<String>) -> Option<Failure> {
        let Switch { name, means, wanted, .. } = self;
        let value: u64 = setting(name)?.trim().parse().ok()?;
        (self.forbids)(value).then(|| {
            Failure::new(summary, format!("The kernel's setting `{name}` is {value}, which {means}."))
                .help(format!(
                    "Have root run `sysctl -w {name}={wanted}`, and write `{name} = {wanted}` into a file below /etc/sysctl.d for \
                     the next boot. Or run this with sudo."
                ))
        })
    }
}

fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_namespaces_is_named() {
        let check = |error: i32, settings: &[(&str, &str)], detail: &str, help: &str| {
            let setting =
                |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| format!("{value}\n"));
            let failure = to_namespaces(&io::Error::from_raw_os_error(error), &setting);
            assert!(failure.detail.contains(detail), "{}", failure.detail);
            assert!(failure.help.join(" ").contains(help), "{:?}", failure.help);
        };
        let sound = [
            ("kernel.unprivileged_userns_clone", "1"),
            ("user.max_user_namespaces", "96000"),
            ("user.max_mnt_namespaces", "96000"),
            ("user.max_net_namespaces", "96000"),
            ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ];
        let but = |name: &'static str, value: &'static str| {
            sound.map(|(known, sound)| (known, if known == name { value } else { sound }))
        };
        check(
            libc::EPERM,
            &but("kernel.unprivileged_userns_clone", "0"),
            "`kernel.unprivileged_userns_clone` is 0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        );
        check(
            libc::ENOSPC,
            &but("user.max_user_namespaces", "0"),
            "`user.max_user_namespaces` is 0",
            "sysctl -w user.max_user_namespaces=100000",
        );
        check(libc::ENOSPC, &but("user.max_net_namespaces", "0"), "network namespaces", "user.max_net_namespaces=");
        check(libc::ENOSPC, &but("user.max_mnt_namespaces", "3"), "mount namespaces", "user.max_mnt_namespaces=");
        check(
            libc::EACCES,
            &but("kernel.apparmor_restrict_unprivileged_userns", "1"),
            "profile of AppArmor",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
        check(libc::EPERM, &[("kernel.userns_restrict", "1")], "kernel.userns_restrict", "kernel.userns_restrict=0");
        // Where all settings are sound, or none can be read.
        check(libc::EPERM, &sound, "Operation not permitted.", "a container");
        check(libc::ENOSPC, &[], "No space left on device.", "user.max_user_namespaces");
        check(libc::ENOSYS, &[], "Function not implemented.", "CONFIG_USER_NS");
        check(libc::ENOMEM, &[("user.max_user_namespaces", "odd")], "Cannot allocate memory.", "sudo");
    }

    #[test]
    fn namespaces_without_rights_are_told() {
        let restricted = |name: &str| (name == POWERLESS.name).then(|| "1\n".to_owned());
        let refused = io::Error::from_raw_os_error(libc::EACCES);
        let failure = to_work(&refused, &restricted).unwrap();
        assert!(failure.help.join(" ").contains("apparmor_restrict_unprivileged_userns = 0"), "{failure:?}");
        assert!(to_work(&refused, &|_| None).is_none());
        assert!(to_work(&io::Error::from_raw_os_error(libc::ENOENT), &restricted).is_none());
    }
}
