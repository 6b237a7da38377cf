//! What a state is once objects have moved: an object is known by its new address, and whatever depends on its
//! resource does so by the new name.

use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::EnvironmentState;
use andon_schema::{InstanceAddress, ResourceAddress};

use crate::Depends;

/// The state after moves that are in order.
pub(crate) fn after_moves(state: &EnvironmentState, moves: &[(InstanceAddress, InstanceAddress)]) -> EnvironmentState {
    let mut after = state.clone();
    for (from, to) in moves {
        if let Some(instance) = after.instances.remove(from) {
            after.instances.insert(to.clone(), instance);
        }
    }
    for Depends { address, identity, dependencies, .. } in redirected(state, moves) {
        let objects = after.instances.get_mut(&address);
        for object in objects.into_iter().flat_map(|it| it.current.iter_mut().chain(&mut it.deposed)) {
            if object.identity == identity {
                object.dependencies.clone_from(&dependencies);
            }
        }
    }
    after
}

/// What objects depend on after moves, where that has another name than before; by their addresses after the moves.
pub(crate) fn redirected(state: &EnvironmentState, moves: &[(InstanceAddress, InstanceAddress)]) -> Vec<Depends> {
    if moves.is_empty() {
        return Vec::new();
    }
    let mut new_names: BTreeMap<&ResourceAddress, BTreeSet<&ResourceAddress>> = BTreeMap::new();
    let mut new_address: BTreeMap<&InstanceAddress, &InstanceAddress> = BTreeMap::new();
    let mut origin_of: BTreeMap<&InstanceAddress, &InstanceAddress> = BTreeMap::new();
    for (from, to) in moves {
        // Where they go step by step, the last step counts.
        let origin = origin_of.remove(from).unwrap_or(from);
        origin_of.insert(to, origin);
        new_address.insert(origin, to);
    }
    for (from, to) in &new_address {
        if from.resource != to.resource {
            new_names.entry(&from.resource).or_default().insert(&to.resource);
        }
    }
    // Where only some instances have moved, the others are depended on still.
    for address in state.instances.keys().filter(|address| !new_address.contains_key(address)) {
        if let Some(names) = new_names.get_mut(&address.resource) {
            names.insert(&address.resource);
        }
    }
    let mut redirected = Vec::new();
    for (address, object) in state.objects() {
        if !object.dependencies.iter().any(|resource| new_names.contains_key(resource)) {
            continue;
        }
        let mut dependencies: BTreeSet<ResourceAddress> = BTreeSet::new();
        for resource in &object.dependencies {
            match new_names.get(resource) {
                Some(names) => dependencies.extend(names.iter().copied().cloned()),
                None => drop(dependencies.insert(resource.clone())),
            }
        }
        redirected.push(Depends {
            address: new_address.get(address).map_or_else(|| address.clone(), |to| (*to).clone()),
            identity: object.identity.clone(),
            dependencies: dependencies.into_iter().collect(),
            create_before_destroy: object.create_before_destroy,
        });
    }
    redirected
}
