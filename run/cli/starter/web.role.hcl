role "web" {
  param "greeting" {
    type = string
  }

  package "nginx" {}

  file "/etc/nginx/sites-enabled/default" {
    content  = templatefile("web/site.conf.tftpl", { greeting = param.greeting })
    mode     = "0644"
    validate = "nginx -t"
    reloads  = [service.nginx]
  }

  service "nginx" {
    running = true
    enabled = true
  }

  check "answers" {
    port "tcp/80" {
      listening = true
    }
    http "http://127.0.0.1:80/healthz" {
      status = 200
    }
  }
}
