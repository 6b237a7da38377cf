variable "web_count" {
  type    = number
  default = 1
}

variable "listen" {
  type    = string
  default = "127.0.0.1:8080"
}

resource "lab_network" "app" {
  name = "app"
}

resource "andon_image" "web" {
  definition = "web"
}

resource "lab_server" "web" {
  count   = var.web_count
  name    = "web-${count.index}"
  image   = andon_image.web.digest
  network = lab_network.app.id
  memory  = "256M"

  lifecycle {
    create_before_destroy = true
  }
}

resource "andon_host" "web" {
  count      = var.web_count
  connection = lab_server.web[count.index].connection
  role       = "web"
  params     = { greeting = "hello from ${terraform.workspace}" }
}

resource "lab_balancer" "web" {
  listen     = var.listen
  targets    = [for server in lab_server.web : "${server.address}:80"]
  health     = "/healthz"
  depends_on = [andon_host.web]
}

output "url" {
  value = "http://${lab_balancer.web.listen}/"
}
