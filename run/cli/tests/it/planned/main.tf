variable "l" {
  type    = list(string)
  default = ["a", "b"]
}
locals {
  chain1 = terraform_data.s.id
  chain2 = "${local.chain1}!"
  chain3 = [local.chain2, "x"]
  obj    = { a = terraform_data.s.id, b = "known" }
  tpl    = "<$${x}>"
}
resource "terraform_data" "s" { input = "s" }
resource "terraform_data" "n" { input = 3 }
resource "terraform_data" "b" { input = true }
resource "terraform_data" "o" { input = { a = 1, b = "x" } }
resource "terraform_data" "l" { input = ["a", "b"] }
resource "terraform_data" "m" { input = tomap({ a = "x" }) }
resource "terraform_data" "nul" { input = null }
resource "terraform_data" "none" {}
resource "terraform_data" "chain" { input = "${terraform_data.s.output}-x" }
resource "terraform_data" "u2" { input = { a = terraform_data.s.id, b = 2 } }
resource "terraform_data" "sens" { input = sensitive("hush") }
resource "terraform_data" "trig" {
  input            = 1
  triggers_replace = [terraform_data.s.id, "x"]
}
resource "terraform_data" "c" {
  count = 2
  input = "c${count.index}"
}
resource "terraform_data" "zero" {
  count = 0
  input = "c${count.index}"
}
resource "terraform_data" "e" {
  for_each = { a = "A", b = "B" }
  input    = each.value
}
resource "terraform_data" "empty" {
  for_each = {}
  input    = each.value
}
module "m" {
  source = "./m"
  name   = "m"
}
module "c" {
  source = "./m"
  count  = 2
  name   = "c${count.index}"
}
module "e" {
  source   = "./m"
  for_each = toset(["x", "y"])
  name     = each.key
}
