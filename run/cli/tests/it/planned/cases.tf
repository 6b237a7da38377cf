### path
output "v" { value = [path.root, basename(path.module), fileexists("${path.module}/main.tf")] }
### workspace
output "v" { value = terraform.workspace }
### count index
resource "terraform_data" "a" {
  count = 3
  input = "n${count.index}"
}
output "v" { value = terraform_data.a[*].output }
### count reads itself by index
resource "terraform_data" "a" {
  count = 3
  input = count.index
}
resource "terraform_data" "b" {
  count = 3
  input = terraform_data.a[count.index].output + 1
}
output "v" { value = [for b in terraform_data.b : b.output] }
### for_each map
resource "terraform_data" "a" {
  for_each = { x = 1, y = 2 }
  input    = "${each.key}=${each.value}"
}
output "v" { value = { for k, a in terraform_data.a : k => a.output } }
### for_each set
resource "terraform_data" "a" {
  for_each = toset(["q", "p"])
  input    = each.value
}
output "v" { value = [keys(terraform_data.a), values(terraform_data.a)[*].output] }
### for_each over another
resource "terraform_data" "a" {
  for_each = { x = 1, y = 2 }
  input    = each.value
}
resource "terraform_data" "b" {
  for_each = terraform_data.a
  input    = each.value.output
}
output "v" { value = { for k, b in terraform_data.b : k => b.output } }
### no instances
resource "terraform_data" "a" {
  count = 0
}
output "v" { value = [length(terraform_data.a), one(terraform_data.a[*].id), try(terraform_data.a[0].id, "none")] }
### chain of resources
resource "terraform_data" "a" { input = "a" }
resource "terraform_data" "b" { input = "${terraform_data.a.output}b" }
resource "terraform_data" "c" { input = "${terraform_data.b.output}c" }
output "v" { value = terraform_data.c.output }
### id is kept
resource "terraform_data" "a" {}
output "v" { value = length(terraform_data.a.id) == 36 }
### ids differ
resource "terraform_data" "a" { count = 2 }
output "v" { value = terraform_data.a[0].id != terraform_data.a[1].id }
### object input
resource "terraform_data" "a" { input = { a = [1, "x", true], b = { c = null } } }
output "v" { value = terraform_data.a.output }
### typed input
resource "terraform_data" "a" { input = tolist(["b", "a"]) }
resource "terraform_data" "s" { input = toset(["b", "a"]) }
resource "terraform_data" "m" { input = tomap({ b = 1, a = 2 }) }
output "v" { value = [terraform_data.a.output, terraform_data.s.output, terraform_data.m.output] }
### null input
resource "terraform_data" "a" { input = null }
output "v" { value = terraform_data.a.output == null }
### triggers
resource "terraform_data" "a" { triggers_replace = ["x", 1] }
output "v" { value = terraform_data.a.triggers_replace }
### postcondition with self
resource "terraform_data" "a" {
  input = "ok"
  lifecycle {
    postcondition {
      condition     = self.output == "ok" && self.id != ""
      error_message = "not ok: ${self.output}"
    }
  }
}
output "v" { value = terraform_data.a.output }
### precondition
resource "terraform_data" "a" {
  count = 2
  input = count.index
  lifecycle {
    precondition {
      condition     = count.index < 2
      error_message = "index ${count.index}"
    }
  }
}
output "v" { value = length(terraform_data.a) }
### output precondition
resource "terraform_data" "a" { input = 5 }
output "v" {
  value = terraform_data.a.output
  precondition {
    condition     = terraform_data.a.output > 1
    error_message = "too small"
  }
}
### depends_on
resource "terraform_data" "a" { input = "a" }
resource "terraform_data" "b" {
  input      = "b"
  depends_on = [terraform_data.a]
}
output "v" {
  value      = "after"
  depends_on = [terraform_data.b]
}
### replace_triggered_by
resource "terraform_data" "a" { input = 1 }
resource "terraform_data" "b" {
  input = 2
  lifecycle { replace_triggered_by = [terraform_data.a, terraform_data.a.id] }
}
output "v" { value = terraform_data.b.output }
### ignore_changes and create first
resource "terraform_data" "a" {
  input = 1
  lifecycle {
    ignore_changes        = [input]
    create_before_destroy = true
  }
}
output "v" { value = terraform_data.a.output }
### locals chain
locals {
  c = "${local.b}c"
  b = "${local.a}b"
  a = "a"
}
output "v" { value = local.c }
### locals of resources
resource "terraform_data" "a" { input = ["x", "y"] }
locals { all = { for i, v in terraform_data.a.output : v => i } }
output "v" { value = local.all }
### string variable
variable "x" {
  type    = string
  default = 5
}
output "v" { value = var.x }
### number variable
variable "x" {
  type    = number
  default = "5.50"
}
output "v" { value = var.x }
### bool variable
variable "x" {
  type    = bool
  default = "true"
}
output "v" { value = var.x }
### list variable
variable "x" {
  type    = list(number)
  default = ["1", 2]
}
output "v" { value = var.x }
### set variable
variable "x" {
  type    = set(string)
  default = ["b", "a", "b"]
}
output "v" { value = var.x }
### map variable
variable "x" {
  type    = map(string)
  default = { b = 1, a = true }
}
output "v" { value = var.x }
### object variable
variable "x" {
  type    = object({ a = string, b = optional(number, 3), c = optional(list(string)) })
  default = { a = 1, z = "dropped" }
}
output "v" { value = var.x }
### deep defaults
variable "x" {
  type    = map(object({ p = optional(object({ q = optional(string, "deep") }), {}) }))
  default = { one = {}, two = { p = { q = "own" } } }
}
output "v" { value = var.x }
### tuple variable
variable "x" {
  type    = tuple([string, number])
  default = [1, "2"]
}
output "v" { value = var.x }
### any variable
variable "x" {
  type    = any
  default = { a = [1, "x"] }
}
output "v" { value = var.x }
### list of any
variable "x" {
  type    = list(any)
  default = [1, "x", true]
}
output "v" { value = var.x }
### null and not nullable
variable "x" { default = null }
variable "y" {
  default  = "y"
  nullable = false
}
output "v" { value = [var.x == null, var.y] }
### validation
variable "x" {
  default = 4
  validation {
    condition     = var.x > 3 && var.y
    error_message = "no: ${var.x}"
  }
}
variable "y" { default = true }
output "v" { value = var.x }
### sensitive
variable "x" {
  default   = "s"
  sensitive = true
}
resource "terraform_data" "a" { input = var.x }
output "v" { value = [issensitive(var.x), issensitive(terraform_data.a.input), nonsensitive("${var.x}!")] }
### sensitive in an object
resource "terraform_data" "a" { input = { open = "o", shut = sensitive("s") } }
output "v" { value = [issensitive(terraform_data.a.input.shut), issensitive(terraform_data.a.input.open)] }
### plantimestamp
resource "terraform_data" "a" { input = plantimestamp() }
output "v" { value = [terraform_data.a.output == plantimestamp(), timecmp(plantimestamp(), "2020-01-01T00:00:00Z")] }
### timestamp
resource "terraform_data" "a" { input = timestamp() }
output "v" { value = [timecmp(terraform_data.a.output, plantimestamp()) >= 0, terraform_data.a.input == terraform_data.a.output] }
### uuid
resource "terraform_data" "a" { input = uuid() }
output "v" { value = [length(terraform_data.a.output), terraform_data.a.output == terraform_data.a.input, uuid() == uuid()] }
### uuid in a local
locals { u = uuid() }
output "v" { value = local.u == local.u }
### module
module "m" {
  source = "../inner"
  name   = "n"
}
output "v" { value = module.m }
### module with count
module "m" {
  source = "../inner"
  count  = 2
  name   = "n${count.index}"
}
output "v" { value = [module.m[*].said, module.m[1].said, length(module.m)] }
### module with for_each
module "m" {
  source   = "../inner"
  for_each = { a = "x", b = "y" }
  name     = "${each.key}${each.value}"
}
output "v" { value = { for k, m in module.m : k => m.said } }
### modules in modules
module "m" {
  source = "../outer"
  count  = 2
  names  = ["a${count.index}", "b"]
}
output "v" { value = module.m[*].all }
### module depends_on
resource "terraform_data" "a" { input = "a" }
module "m" {
  source     = "../inner"
  name       = "n"
  depends_on = [terraform_data.a]
}
output "v" { value = module.m.said }
### module of none
module "m" {
  source = "../inner"
  count  = 0
  name   = "n"
}
output "v" { value = [module.m, length(module.m)] }
### module over instances
resource "terraform_data" "a" {
  count = 2
  input = "i${count.index}"
}
module "m" {
  source = "../inner"
  count  = length(terraform_data.a)
  name   = terraform_data.a[count.index].output
}
output "v" { value = module.m[*].said }
### legacy splat
resource "terraform_data" "a" {
  count = 2
  input = { n = count.index }
}
output "v" { value = [terraform_data.a.*.output.n, terraform_data.a[*].output.n] }
### splat of one
resource "terraform_data" "a" { input = "x" }
output "v" { value = [terraform_data.a[*].output, terraform_data.a.output[*]] }
### splat of for_each values
resource "terraform_data" "a" {
  for_each = toset(["a", "b"])
  input    = each.key
}
output "v" { value = values(terraform_data.a)[*].input }
### conditional resources
resource "terraform_data" "a" {
  count = true ? 1 : 0
  input = "there"
}
output "v" { value = one(terraform_data.a[*].output) }
### templates of unknowns
resource "terraform_data" "a" { input = ["x", "y"] }
output "v" {
  value = <<-EOT
    %{for i, v in terraform_data.a.output~}
    ${i}: ${v}
    %{endfor~}
  EOT
}
### templatefile
resource "terraform_data" "a" { input = "ann" }
output "v" { value = templatefile("${path.module}/../hello.tftpl", { name = terraform_data.a.output }) }
### files
output "v" { value = [file("${path.module}/../hello.tftpl"), filesha256("${path.module}/../hello.tftpl")] }
### for over unknowns
resource "terraform_data" "a" { input = { x = 1, y = 2 } }
output "v" { value = { for k, v in terraform_data.a.output : upper(k) => v * 2 if v > 1 } }
### jsonencode of instances
resource "terraform_data" "a" {
  for_each = { x = 1 }
  input    = each.value
}
output "v" { value = jsonencode({ for k, a in terraform_data.a : k => a.input }) }
### types
resource "terraform_data" "a" { input = toset(["a"]) }
output "v" { value = [can(terraform_data.a.output[0]), tolist(terraform_data.a.output)[0]] }
### numbers
resource "terraform_data" "a" { input = 0.1 + 0.2 }
resource "terraform_data" "b" { input = 12345678901234567890 }
output "v" { value = [terraform_data.a.output, terraform_data.b.output, terraform_data.b.output + 1] }
### text
resource "terraform_data" "a" { input = "ünï\n\"q\" $${x} %%{y} 👍" }
output "v" { value = terraform_data.a.output }
### empty
resource "terraform_data" "a" { input = [] }
resource "terraform_data" "b" { input = {} }
resource "terraform_data" "c" { input = "" }
output "v" { value = [terraform_data.a.output, terraform_data.b.output, terraform_data.c.output] }
### try forgives
resource "terraform_data" "a" { input = 1 }
output "v" { value = try(terraform_data.a.output.nope, "fell back") }
### resource prefix
resource "terraform_data" "a" { input = "x" }
output "v" { value = resource.terraform_data.a.output }
### nested each
locals { nested = { a = ["x", "y"], b = ["z"] } }
resource "terraform_data" "a" {
  for_each = { for p in flatten([for k, vs in local.nested : [for v in vs : { k = k, v = v }]]) : "${p.k}-${p.v}" => p }
  input    = each.value.v
}
output "v" { value = { for k, a in terraform_data.a : k => a.output } }
