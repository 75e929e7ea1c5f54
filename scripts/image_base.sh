#!/usr/bin/env bash
# image_base.sh NAME  makes a base for `make image BASE=NAME` with debootstrap and buildah: Debian 12, for machines that
# reach Debian's packages and no registry of images. It trusts the certificates that this machine trusts.
set -euo pipefail
name=${1:?usage: image_base.sh NAME}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
debootstrap --variant=minbase bookworm "$root" >"$root.log" || { tail "$root.log" >&2; exit 1; }
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
for path in /usr/local/share/ca-certificates /etc/pip.conf; do
    [[ ! -e $path ]] || cp -rT "$path" "$root$path"
done
container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah commit --quiet --rm "$container" "$name"
