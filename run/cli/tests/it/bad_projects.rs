//! Bad input, continued: what is missing, goes in circles or is there twice, and what the command line refuses.

use crate::bad_input::Bad;

#[test]
fn what_is_missing_is_named() {
    insta::assert_snapshot!(Bad::new()
            .edit("andon.hcl", "  variables = { size = 2 }\n", "")
            .said(&["up", "-y"]), @r#"
        error: environment "dev" gives no value to the variable "size" of stack "web"
         --> andon.hcl:3:1
          |
        3 | environment "dev" {
          | ^^^^^^^^^^^^^^^^^
          |
         ::: stacks/web/main.tf:1:1
          |
        1 | variable "size" { type = number }
          | --------------- defined here without a default
          |
          = help: Give it one: variables = { size = … }, or a default where it is defined.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("stacks/web/main.tf", "{ greeting = \"hello\" }", "{}")
            .said(&["up", "-y"]), @r#"
        error: role "web" needs the parameter "greeting"
          --> stacks/web/main.tf:20:16
           |
        20 |   params     = {}
           |                ^^
           |
          ::: roles/web.role.hcl:2:3
           |
         2 |   param "greeting" { type = string }
           |   ---------------- defined here without a default
           |
           = help: Add it to the parameters: params = { greeting = … }
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("images/web.image.hcl", "  params = { greeting = \"baked\" }\n", "")
            .said(&["up", "-y"]), @r#"
        error: role "web" needs the parameter "greeting"
         --> images/web.image.hcl:1:1
          |
        1 | image "web" {
          | ^^^^^^^^^^^
          |
         ::: roles/web.role.hcl:2:3
          |
        2 |   param "greeting" { type = string }
          |   ---------------- defined here without a default
          |
          = help: Add it to the parameters: params = { greeting = … }
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("roles/web.role.hcl", "= param.greeting", "= templatefile(\"web/motd.tftpl\", { greeting = param.greeting })")
            .said(&["up", "-y"]), @r#"
        error: invalid argument "path" of "templatefile"
         --> roles/web.role.hcl:7:28
          |
        7 |     content = templatefile("web/motd.tftpl", { greeting = param.greeting })
          |                            ^^^^^^^^^^^^^^^^ there is no such file
          |
          = The path leads to "roles/web/motd.tftpl".
            The value is "web/motd.tftpl".
          = help: Make this file, or correct the path.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("roles/web.role.hcl", "= param.greeting", "= templatefile(\"web/motd.tpl\", {})")
            .write("roles/web/motd.tftpl", "hello\n")
            .said(&["up", "-y"]), @r#"
        error: invalid argument "path" of "templatefile"
         --> roles/web.role.hcl:7:28
          |
        7 |     content = templatefile("web/motd.tpl", {})
          |                            ^^^^^^^^^^^^^^ there is no such file
          |
          = The path leads to "roles/web/motd.tpl".
            The value is "web/motd.tpl".
          = help: There is "roles/web/motd.tftpl". Did you mean that?
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("roles/web.role.hcl", "= param.greeting", "= templatefile(\"web/motd.tftpl\", {})")
            .write("roles/web/motd.tftpl", "hello,\n${greeting}\n")
            .said(&["up", "-y"]), @r#"
        error: "templatefile" has no result
         --> roles/web.role.hcl:7:15
          |
        7 |     content = templatefile("web/motd.tftpl", {})
          |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the template has an error
          |
          = roles/web/motd.tftpl:2:3: no variable "greeting": the template was not given a variable of this name
              | ${greeting}
              |   ^^^^^^^^
    "#);
    insta::assert_snapshot!(Bad::new()
            .write("stacks/web/more.tf", "module \"db\" {\n  source = \"./db\"\n}\n")
            .said(&["up", "-y"]), @r#"
        error: there is no module in "./db"
         --> stacks/web/more.tf:2:12
          |
        2 |   source = "./db"
          |            ^^^^^^ stacks/web/db has no *.tf files
          |
          = help: There is one in stacks/web.
    "#);
    insta::assert_snapshot!(Bad::new()
            .write("stacks/web/more.tf", "resource \"lab_network\" {}\n")
            .said(&["up", "-y"]), @r#"
        error: a resource block takes 2 labels: type and name
         --> stacks/web/more.tf:1:1
          |
        1 | resource "lab_network" {}
          | ^^^^^^^^^^^^^^^^^^^^^^ 1 given
          |
          = help: Write it as: resource "TYPE" "NAME" { … }
    "#);
}

#[test]
fn circles_are_shown() {
    insta::assert_snapshot!(Bad::new()
            .write("stacks/web/more.tf", "resource \"terraform_data\" \"a\" {\n  input = terraform_data.b.output\n}\n\nresource \"terraform_data\" \"b\" {\n  input = terraform_data.c.output\n}\n\nresource \"terraform_data\" \"c\" {\n  depends_on = [terraform_data.a]\n}\n")
            .said(&["up", "-y"]), @r#"
        error: these need each other in a circle
          --> stacks/web/more.tf:2:11
           |
         2 |   input = terraform_data.b.output
           |           ^^^^^^^^^^^^^^^^^^^^^^^ terraform_data.a needs terraform_data.b
        ...
         6 |   input = terraform_data.c.output
           |           ----------------------- terraform_data.b needs terraform_data.c
        ...
        10 |   depends_on = [terraform_data.a]
           |                 ---------------- terraform_data.c needs terraform_data.a
           |
           = terraform_data.a → terraform_data.b → terraform_data.c → terraform_data.a.
           = help: Take one of these references out.
    "#);
    insta::assert_snapshot!(Bad::new()
            .write("stacks/web/more.tf", "locals {\n  a = local.b\n  b = local.a\n}\n")
            .said(&["up", "-y"]), @r#"
        error: these need each other in a circle
         --> stacks/web/more.tf:2:7
          |
        2 |   a = local.b
          |       ^^^^^^^ local.a needs local.b
        3 |   b = local.a
          |       ------- local.b needs local.a
          |
          = local.a → local.b → local.a.
          = help: Take one of these references out.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("roles/web.role.hcl", "role \"web\" {", "role \"web\" {\n  inherits = [\"base\"]")
            .write("roles/base.role.hcl", "role \"base\" {\n  inherits = [\"web\"]\n}\n")
            .said(&["up", "-y"]), @r#"
        error: roles inherit from each other in a circle
         --> roles/base.role.hcl:2:15
          |
        2 |   inherits = ["web"]
          |               ^^^^^
          |
         ::: roles/web.role.hcl:2:15
          |
        2 |   inherits = ["base"]
          |               ------ role web is here
          |
          = role base → role web → role base.
          = help: Take out one of these references.
    "#);
    insta::assert_snapshot!(Bad::new()
            .write("stacks/a/main.tf", "data \"andon_stack\" \"b\" {\n  name = \"b\"\n}\n\noutput \"x\" {\n  value = data.andon_stack.b.outputs.x\n}\n")
            .write("stacks/b/main.tf", "data \"andon_stack\" \"a\" {\n  name = \"a\"\n}\n\noutput \"x\" {\n  value = data.andon_stack.a.outputs.x\n}\n")
            .said(&["up", "-y"]), @r#"
        error: stacks read from each other in a circle
         --> stacks/a/main.tf:2:10
          |
        2 |   name = "b"
          |          ^^^ stack a needs stack b
          |
         ::: stacks/b/main.tf:2:10
          |
        2 |   name = "a"
          |          --- stack b needs stack a
          |
          = stack a → stack b → stack a.
          = help: Take one of these references out.
    "#);
}

#[test]
fn what_is_there_twice_is_shown_twice() {
    insta::assert_snapshot!(Bad::new()
            .write("stacks/web/more.tf", "resource \"lab_network\" \"app\" {}\n")
            .said(&["up", "-y"]), @r#"
        error: duplicate resource "lab_network.app"
         --> stacks/web/more.tf:1:1
          |
        1 | resource "lab_network" "app" {}
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ defined here again
          |
         ::: stacks/web/main.tf:3:1
          |
        3 | resource "lab_network" "app" {
          | ---------------------------- first defined here
          |
          = help: Give one of them another name, or take it out.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("stacks/web/main.tf", "name = \"app\"", "name = \"app\"\n  name = \"bpp\"")
            .said(&["up", "-y"]), @r#"
        error: `name` is set twice
         --> stacks/web/main.tf:5:3
          |
        4 |   name = "app"
          |   ---- set here first
        5 |   name = "bpp"
          |   ^^^^ set again here
          |
          = help: Keep one of them.
    "#);
    insta::assert_snapshot!(Bad::new()
            .write("andon.hcl", "project \"shop\" {}\n\nenvironment \"dev\" {\n  variables = { size = 2 }\n}\n\nenvironment \"dev\" {}\n")
            .said(&["up", "-y"]), @r#"
        error: duplicate environment "dev"
         --> andon.hcl:7:13
          |
        3 | environment "dev" {
          |             ----- first defined here
        ...
        7 | environment "dev" {}
          |             ^^^^^ defined here again
          |
          = help: Give one of them another name, or take it out.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("roles/web.role.hcl", "package \"nginx\" {}", "package \"nginx\" {}\n\n  package \"nginx\" {}")
            .said(&["up", "-y"]), @r#"
        error: duplicate host resource "package nginx"
         --> roles/web.role.hcl:6:3
          |
        4 |   package "nginx" {}
          |   --------------- first defined here
        5 |
        6 |   package "nginx" {}
          |   ^^^^^^^^^^^^^^^ defined here again
          |
          = help: Give one of them another name, or take it out.
    "#);
}

#[test]
fn files_that_are_no_text() {
    insta::assert_snapshot!(Bad::new()
            .bytes("stacks/web/main.tf", b"variable \"size\" { type = number }\n\n# caf\xe9\n")
            .said(&["up", "-y"]), @r#"
        error: stacks/web/main.tf is not UTF-8 text
         --> stacks/web/main.tf:3:6
          |
        3 | # caf�
          |      ^ this byte is not
          |
          = help: Save the file as UTF-8.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("andon.hcl", "project \"shop\" {}", "project \"shop\" {\n  required_version = \">= 9\"\n}")
            .said(&["up", "-y"]), @r#"
        error: Andon >= 9 is required, and this is 0.1.0
         --> andon.hcl:2:22
          |
        2 |   required_version = ">= 9"
          |                      ^^^^^^
          |
          = help: Use a version that meets the constraint, or change it where this version will do.
    "#);
}

#[test]
fn places_and_names_of_the_command_line() {
    insta::assert_snapshot!(Bad::new()
            .said(&["up", "-y", "-e", "prod"]), @r#"
        error: there is no environment `prod`
          help: The project has dev.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["up", "-y", "-e", "devv"]), @r#"
        error: there is no environment `devv`
          help: Did you mean `dev`?
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["apply", "-y", "wbe"]), @r#"
        error: there is no stack `wbe`
          help: Did you mean `web`?
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["-C", "nowhere", "up", "-y"]), @r#"
        error: there is no directory `nowhere`
          help: Name the project's directory with -C.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["-C", "andon.hcl", "check"]), @r#"
        error: `andon.hcl` is no directory
          help: Name the project's directory with -C.
    "#);
    insta::assert_snapshot!(Bad::new()
            .edit("andon.hcl", "\"dev\" {", "\"dev\" {\n  protected = true")
            .said(&["up", "-y"]), @r#"
        error: environment `dev` is protected
         --> andon.hcl:3:1
          |
        3 | environment "dev" {
          | ^^^^^^^^^^^^^^^^^
          |
          = A change to it needs an approval; -y alone is none.
          = help: Look at it with `andon plan -e dev`, then approve it with `--approve dev`.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["ssh", "web-0", "true"]), @r#"
        error: there is no server `web-0`
          help: `local` is this machine. Servers are listed in `*.hosts.hcl`, or made by stacks: `andon up`.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["output", "nope"]), @r#"
        error: no output `nope` is published in dev
          help: Outputs are published when an apply ends; `andon output` lists them.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["logs", "--run", "abc"]), @r#"
        error: the ledger has no such run
          help: `andon logs --runs` lists them.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["console", "--stack", "wbe", "-c", "1"]), @r#"
        error: there is no stack `wbe`
          help: Did you mean `web`?
    "#);
}

#[test]
fn words_that_the_command_line_does_not_know() {
    insta::assert_snapshot!(Bad::new()
            .said(&["up", "--yess"]), @r#"
        error: unexpected argument '--yess' found

          tip: a similar argument exists: '--yes'

        For more information, try '--help'.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["upp"]), @r#"
        error: unrecognized subcommand 'upp'

          tip: a similar subcommand exists: 'up'

        Usage: andon [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["ssh"]), @r#"
        error: the following required arguments were not provided:
          <SERVER>

        Usage: andon ssh <SERVER> [COMMAND]...

        For more information, try '--help'.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["up", "--parallelism", "0"]), @r#"
        error: invalid value '0' for '--parallelism <N>': `0` is no number of things; write a whole number from 1 up

        For more information, try '--help'.
    "#);
    insta::assert_snapshot!(Bad::new()
            .said(&["up", "--lock-timeout", "soon"]), @r#"
        error: invalid value 'soon' for '--lock-timeout <TIME>': `soon` is no time; write one like `30s` or `5m`

        For more information, try '--help'.
    "#);
}
