# A web server that greets its visitors.

role "web" {
  inherits = ["base"] # depth first, each role once; a child's params override

  param "greeting" {
    description = "What the shop says to its visitors."
    type        = string
  }

  param "port" {
    description = "The port that nginx listens on."
    type        = number
    default     = 80
  }

  package "nginx" {}

  # Debian's own site would answer on the same port.
  link "/etc/nginx/sites-enabled/default" {
    absent  = true
    reloads = [service.nginx]
  }

  file "/etc/nginx/sites-enabled/shop.conf" {
    content  = templatefile("web/site.conf.tftpl", { port = param.port, greeting = param.greeting })
    mode     = "0644"
    validate = "nginx -t" # checked before it replaces the old content
    reloads  = [service.nginx]
  }

  service "nginx" {
    running = true
    enabled = true
  }

  check "answers" {
    port "tcp/${param.port}" {
      listening = true
    }

    http "http://127.0.0.1:${param.port}/healthz" {
      status = 200
    }
  }
}
