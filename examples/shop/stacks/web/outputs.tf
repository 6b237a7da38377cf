output "url" {
  description = "Where the shop is reached."
  value       = "http://${lab_balancer.web.listen}/"
}
