//! What a plan takes as done with users, groups and certificates.

use std::sync::Arc;

use andon_schema::host::{Certificate, CertificatePlace, CertificateWish, Group, Look, Node, Sight, User, UserWish};

use super::{World, home_of};
use crate::kinds::Meta;

impl World {
    pub(super) fn imagine_certificate(&mut self, place: &CertificatePlace, wish: &CertificateWish) {
        let old = self.certificate(place).ok().flatten().and_then(|old| old.key);
        // What the old one signed is not signed by the new one.
        for (look, sight) in &mut self.sights {
            if let (Look::Certificate(other), Sight::Certificate(Some(seen))) = (look, sight)
                && other.authority.as_ref() == Some(&place.certificate)
            {
                seen.signed = false;
            }
        }
        for (path, mode) in [(&place.certificate, wish.mode), (&place.key, wish.key_mode)] {
            let meta = Meta::new(Some(mode), &wish.owner, &wish.group);
            self.imagine_entry(path, Node::File(None), None, mode, &meta);
        }
        let made = Certificate {
            subject: wish.subject.clone(),
            dns: wish.dns.clone(),
            ips: wish.ips.clone(),
            usages: wish.usages.clone(),
            authority: wish.is_authority,
            key: wish.new_key.or(old),
            key_fits: true,
            signed: true,
            lasts_s: i64::from(wish.days) * 86_400,
        };
        self.learn(Look::Certificate(place.clone()), Sight::Certificate(Some(made)));
    }

    pub(super) fn imagine_group(&mut self, name: &Arc<str>, gid: Option<u32>, members: Option<&[Arc<str>]>) {
        let mut group = self.group(name).ok().flatten().cloned().unwrap_or_default();
        group.gid = gid.unwrap_or(group.gid);
        if let Some(members) = members {
            group.members = members.to_vec();
            for (look, sight) in &mut self.sights {
                if let (Look::User(user), Sight::User(Some(seen))) = (look, sight) {
                    seen.groups.retain(|known| known != name);
                    seen.groups.extend(members.contains(user).then(|| name.clone()));
                    seen.groups.sort();
                }
            }
        }
        self.learn(Look::Group(name.clone()), Sight::Group(Some(group)));
    }

    /// Makes a user a member of these groups, and of no others.
    pub(super) fn imagine_membership(&mut self, user: &Arc<str>, groups: &[Arc<str>]) {
        for (look, sight) in &mut self.sights {
            if let (Look::Group(group), Sight::Group(Some(seen))) = (look, sight) {
                seen.members.retain(|known| known != user);
                seen.members.extend(groups.contains(group).then(|| user.clone()));
                seen.members.sort();
            }
        }
    }

    /// `new` is `Some(system)` for a user that is added.
    pub(super) fn imagine_user(&mut self, name: &Arc<str>, wish: &UserWish, new: Option<bool>) {
        let unknown = User { uid: u32::MAX, gid: u32::MAX, shell: "/bin/sh".into(), ..User::default() };
        let mut user = self.user(name).ok().flatten().cloned().unwrap_or(unknown);
        let gid = |world: &World, group: &Arc<str>| {
            group.parse().ok().or_else(|| world.group(group).ok().flatten().map(|group| group.gid))
        };
        user.uid = wish.uid.unwrap_or(user.uid);
        user.gid = wish.group.as_ref().and_then(|group| gid(self, group)).unwrap_or(user.gid);
        user.shell = wish.shell.clone().unwrap_or(user.shell);
        user.comment = wish.comment.clone().unwrap_or(user.comment);
        user.password = wish.password.clone().unwrap_or(user.password);
        if wish.exclusive {
            user.groups.clear();
        }
        user.groups.extend(wish.groups.iter().cloned());
        user.groups.sort();
        user.groups.dedup();
        self.imagine_membership(name, &user.groups);
        if let Some(system) = new {
            user.home = home_of(name, wish);
            if wish.create_home.unwrap_or(!system) && !matches!(self.entry(&user.home), Ok(Some(_))) {
                let owner = Some(name.clone());
                self.imagine_entry(&user.home, Node::Directory, None, 0o755, &Meta::new(None, &owner, &owner));
            }
            if wish.group.is_none() && !matches!(self.group(name), Ok(Some(_))) {
                self.learn(Look::Group(name.clone()), Sight::Group(Some(Group { gid: user.gid, members: Vec::new() })));
            }
        } else {
            if let Some(home) = wish.home.as_ref().filter(|_| wish.move_home) {
                let old = std::mem::replace(&mut user.home, home.clone());
                self.imagine_nothing(&old);
                let owner = Some(name.clone());
                self.imagine_entry(home, Node::Directory, None, 0o755, &Meta::new(None, &owner, &owner));
            }
            user.home = wish.home.clone().unwrap_or(user.home);
        }
        self.learn(Look::User(name.clone()), Sight::User(Some(user)));
    }
}
