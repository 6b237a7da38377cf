//! What is written down where nothing is to be done.

use andon_plan::PlanMode;

use crate::world::World;

/// Of a definition that is added to what there is: whether there is something to write down, and to agree to.
fn check(added: &str, mode: PlanMode, expected: (bool, bool)) {
    let before = "resource \"lab_server\" \"s\" { name = \"s\" }\n";
    let (mut world, both) = (World::default(), format!("{before}{added}"));
    world.up(before);
    for (turn, has_records) in [expected.0, false].into_iter().enumerate() {
        let input = world.input(&both, mode).unwrap();
        let plan = world.plan_input(input.clone()).unwrap();
        assert_eq!((plan.has_records(&input), !plan.is_empty()), (has_records, expected.1), "{turn}: {added}");
        if plan.is_empty() {
            assert!(world.apply_input(plan, input).is_success(), "{added}");
        } else {
            break;
        }
    }
}

#[test]
fn what_data_gave_and_conditions_came_to_is_recorded_once() {
    for mode in [PlanMode::Normal, PlanMode::RefreshOnly] {
        check("", mode, (false, false));
        check("data \"lab_lookup\" \"d\" { name = \"a\" }", mode, (true, false));
        check("locals { unused = 1 }", mode, (false, false));
        let failing =
            "check \"c\" {\n  assert {\n    condition = lab_server.s.name == \"t\"\n    error_message = \"no\"\n  }\n}";
        check(failing, mode, (true, false));
        check(&failing.replace("\"t\"", "\"s\""), mode, (true, false));
    }
    check("output \"o\" { value = 1 }", PlanMode::Normal, (false, true));
}
