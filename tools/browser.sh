#!/usr/bin/env bash
# Installs what the tests of the page need: the headless shell of Chromium, which takes 40% of the processor time of Chromium;
# where there is no package of it, Chromium. Where neither this nor the machine can give one, those tests skip and say so.
set -u
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
can_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }
install() { as_root apt-get -qq install -y --no-install-recommends "$1" >/dev/null 2>&1; }
is_here() { for name in "$@"; do command -v "$name" >/dev/null && return; done; return 1; }

is_here chromium-headless-shell && exit 0
if is_here chromium chromium-browser google-chrome; then
  can_install && apt-cache show chromium-headless-shell >/dev/null 2>&1 && install chromium-headless-shell
elif can_install; then
  echo "installing a headless Chromium for the tests of the page"
  as_root apt-get -qq update >/dev/null
  install chromium-headless-shell || install chromium || echo "no Chromium could be installed: the tests of the page will skip"
else
  echo "no Chromium here, and no right to install one: the tests of the page will skip"
fi

exit 0
