//! `check` blocks in tests of stacks: what elsewhere is only warned of is a failure there, unless it is expected.

use crate::stack_tests::check;

/// What is tested: a check that a plan can judge, and two that only an apply can, the one of them within a module.
const CHECKED: &str = r#"
== main.tf
variable "n" {
  type    = number
  default = 1
}
resource "terraform_data" "a" { input = var.n }
check "small" {
  assert {
    condition     = var.n < 5
    error_message = "n is ${var.n}"
  }
}
check "made" {
  assert {
    condition     = terraform_data.a.output < 8
    error_message = "made of ${terraform_data.a.output}"
  }
}
module "m" {
  source = "./m"
  n      = terraform_data.a.output
}
== m/main.tf
variable "n" {}
check "inner" {
  assert {
    condition     = var.n != 4
    error_message = "no four"
  }
}
== alone/main.tf
resource "terraform_data" "a" { input = 1 }
check "false" {
  assert {
    condition     = terraform_data.a.input == 2
    error_message = "not two"
  }
}
check "open" {
  assert {
    condition     = terraform_data.a.id != ""
    error_message = "nameless"
  }
}
"#;

#[test]
fn a_check_that_does_not_hold_fails_its_run() {
    check(
        "tests-checks",
        &format!(
            r#"{CHECKED}
== a.tftest.hcl
run "holds" {{}}
run "planned" {{
  command = plan
}}
run "late" {{
  variables {{ n = 9 }}
  expect_failures = [check.small, check.made]
}}
run "missed" {{
  expect_failures = [check.small]
}}
run "skipped" {{}}
== b.tftest.hcl
run "unexpected" {{
  variables {{ n = 6 }}
}}
== c.tftest.hcl
run "inner" {{
  variables {{ n = 4 }}
}}
== d.tftest.hcl
run "one_of_two" {{
  variables {{ n = 9 }}
  expect_failures = [check.small]
}}
"#
        ),
        "a.tftest.hcl holds: pass
         a.tftest.hcl planned: pass
         a.tftest.hcl late: pass
         a.tftest.hcl missed: error
         a.tftest.hcl skipped: skip
         b.tftest.hcl unexpected: error
         c.tftest.hcl inner: error
         d.tftest.hcl one_of_two: error",
    );
}

#[test]
fn a_check_that_only_an_apply_decides_fails_a_plan() {
    check(
        "tests-checks-planned",
        &format!(
            r#"{CHECKED}
== a.tftest.hcl
run "open" {{
  command = plan
}}
== b.tftest.hcl
run "one_of_two" {{
  command = plan
  module {{ source = "./alone" }}
  expect_failures = [check.false]
}}
== c.tftest.hcl
run "both" {{
  command = plan
  module {{ source = "./alone" }}
  expect_failures = [check.false, check.open]
}}
"#
        ),
        "a.tftest.hcl open: error
         b.tftest.hcl one_of_two: error
         c.tftest.hcl both: pass",
    );
}
