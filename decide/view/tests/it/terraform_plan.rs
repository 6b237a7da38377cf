//! What of a plan Terraform's JSON view tells, where no real `terraform` here makes such a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{EnvironmentState, InstanceState};
use andon_plan::{DeferReason, Deferred, Drift, Plan};
use andon_schema::{Identity, InstanceAddress, Kept, Object, ObjectStatus};
use andon_value::Value;
use andon_view::terraform::{Shown, terraform_plan_json};
use serde_json::{Value as Json, json};

use crate::project;
use crate::terraform::{plan_of, schemas};

/// A plan as it is shown of definitions.
fn shown(plan: &Plan, state: &EnvironmentState, text: &str) -> Json {
    let shown = Shown {
        project: &project(&[("main.tf", text), ("m/main.tf", "resource \"terraform_data\" \"in\" {}\n")]),
        schemas: &schemas(),
        state,
        stack: "",
        variables: &BTreeMap::new(),
        terraform_version: "1.11.4",
        timestamp: "2026-11-21T13:17:18Z",
        generated: &[],
        checks: &[],
    };
    terraform_plan_json(plan, shown)
}

fn object(input: Value) -> Object {
    Object {
        identity: Identity::from_random(1),
        value: Value::object([("input", input)]),
        status: ObjectStatus::Ready,
        dependencies: Vec::new(),
        create_before_destroy: false,
        provider: None,
        kept: Kept::default(),
    }
}

#[test]
fn what_differs_only_in_what_is_empty_has_drifted() {
    let address = InstanceAddress::parse("terraform_data.a").unwrap();
    let object = object(Value::NULL);
    let after = Value::object([("input", Value::object::<Arc<str>>([]))]);
    let mut plan = plan_of(&json!({ "resource_changes": [], "output_changes": {} }));
    plan.settled.push(Drift {
        address: address.clone(),
        identity: object.identity.clone(),
        before: object.value.clone(),
        after: Some(after),
        report: None,
        kept: Kept::default(),
        provider: None,
        background: true,
        feeds: Vec::new(),
    });
    let mut state = EnvironmentState::default();
    state.instances.insert(address, InstanceState { current: Some(object), ..InstanceState::default() });
    let json = shown(&plan, &state, "resource \"terraform_data\" \"a\" {}\n");
    let change = &json["resource_drift"][0]["change"];
    assert_eq!((&change["before"], &change["after"]), (&json!({ "input": null }), &json!({ "input": {} })));
    // Of what was replaced and is gone nobody hears.
    plan.settled[0].after = None;
    let json = shown(&plan, &state, "resource \"terraform_data\" \"a\" {}\n");
    assert_eq!(json["resource_drift"], Json::Null);
}

#[test]
fn what_is_put_off_is_shown_once() {
    let text = "resource \"terraform_data\" \"a\" {\n  count = 2\n}\nresource \"terraform_data\" \"b\" {}\n\
                module \"m\" {\n  source = \"./m\"\n  count = 2\n}\nmodule \"n\" {\n  source = \"./m\"\n}\n";
    let mut plan = plan_of(&json!({ "resource_changes": [], "output_changes": {} }));
    for address in ["terraform_data.a", "terraform_data.b", "module.m", "module.n"] {
        let reason = DeferReason::Needs { on: Vec::new() };
        plan.deferred.push(Deferred { stack: "".into(), address: address.to_owned(), reason });
    }
    let mut state = EnvironmentState::default();
    for address in ["terraform_data.a[0]", "terraform_data.a[1]", "module.m[0].terraform_data.in"] {
        let current = Some(object(Value::NULL));
        let address = InstanceAddress::parse(address).unwrap();
        state.instances.insert(address, InstanceState { current, ..InstanceState::default() });
    }
    let json = shown(&plan, &state, text);
    let changes = json["deferred_changes"].as_array().unwrap().iter().map(|it| &it["resource_change"]);
    let told: Vec<(&str, &str)> =
        changes.map(|it| (it["address"].as_str().unwrap(), it["change"]["actions"][0].as_str().unwrap())).collect();
    let expected = [
        ("terraform_data.a[0]", "update"),
        ("terraform_data.a[1]", "update"),
        ("terraform_data.b", "create"),
        ("module.m[0].terraform_data.in", "update"),
        ("module.n.terraform_data.in", "create"),
    ];
    assert_eq!(told, expected);
    assert_eq!((&json["resource_changes"], &json["complete"]), (&Json::Null, &json!(false)));
}
