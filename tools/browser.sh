#!/usr/bin/env bash
# Installs what the tests of the page need: a Chromium. Where neither this nor the machine can give one, those tests
# skip and say so.
set -u
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
  if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    echo "installing Chromium for the tests of the page"
    as_root apt-get -qq update >/dev/null && as_root apt-get -qq install -y --no-install-recommends chromium >/dev/null \
      || echo "no Chromium could be installed: the tests of the page will skip"
  else
    echo "no Chromium here, and no right to install one: the tests of the page will skip"
  fi
fi

exit 0
