#!/usr/bin/env bash
# Installs ImageMagick, the second decoder with which tests compare pixels. Where it cannot be installed, those tests
# skip and say so.
set -u
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

command -v mogrify >/dev/null && exit 0
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
  echo "installing ImageMagick for the tests of pixels"
  as_root apt-get -qq update >/dev/null && as_root apt-get -qq install -y --no-install-recommends imagemagick >/dev/null \
    || echo "no ImageMagick could be installed: the comparison with a second decoder will skip"
else
  echo "no ImageMagick here, and no right to install one: the comparison with a second decoder will skip"
fi
exit 0
