# What every other stack of the shop stands on.

resource "lab_network" "app" {
  name = "app"
}

output "app_network" {
  description = "Where servers are put."
  value       = lab_network.app.id
}
