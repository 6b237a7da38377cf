# The servers of the shop, what is inside them, and the balancer in front.

data "andon_stack" "network" {
  name = "network"
}

resource "andon_image" "web" {
  definition = "web"
}

resource "lab_server" "web" {
  count   = var.web_count
  name    = "web-${count.index}"
  image   = andon_image.web.digest # a new image replaces the server: immutable servers
  network = data.andon_stack.network.outputs.app_network
  memory  = "256M"

  lifecycle {
    create_before_destroy = true
  }
}

# What is decided late: applied to the running server.
resource "andon_host" "web" {
  count      = var.web_count
  connection = lab_server.web[count.index].connection
  role       = "web"
  params     = { greeting = var.greeting }
}

resource "lab_balancer" "web" {
  name    = "web"
  listen  = var.listen
  targets = [for server in lab_server.web : "${server.address}:80"]
  health  = "/healthz"

  depends_on = [andon_host.web]
}
