"""The job of job.role.hcl, for pyinfra."""
import os

from pyinfra.operations import apt, files, server

target, count = os.environ["TARGET"], int(os.environ["FILES"])
peers = ["alpha", "beta", "gamma", "delta", "epsilon"]

for number in range(20):
    files.directory(name=f"directory {number}", path=f"{target}/d{number:02d}", mode="750")
for number in range(10):
    server.user(name=f"user {number}", user=f"bench{number:02d}", shell="/bin/sh")
apt.packages(
    name="packages",
    packages=["coreutils", "bash", "tar", "gzip", "sed", "grep", "findutils", "util-linux", "passwd", "login"],
)
for index in range(count):
    name = f"svc-{index:04d}"
    files.template(
        name=f"file {index}",
        src="site.conf.j2",
        dest=f"{target}/d{index % 20:02d}/{name}.conf",
        mode="640",
        index=index,
        name_=name,
        peers=peers,
    )
for key in ["03", "13", "23", "33", "43"]:
    files.line(name=f"line {key}", path=f"{target}/app.ini", line=f"^key{key}=.*", replace=f"key{key}=managed{key}")
