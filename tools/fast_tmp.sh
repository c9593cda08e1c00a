#!/usr/bin/env bash
# Prints a folder in memory for the files of tests, where this machine has one with room: they create hundreds of catalogs,
# and each waits for the disk some thirty times. Prints nothing where there is none.
set -u
folder=/dev/shm
[ -d "$folder" ] && [ -w "$folder" ] || exit 0
[ "$(df -Pk "$folder" | awk 'NR == 2 {print $4}')" -ge 4000000 ] || exit 0
program=$(mktemp "$folder/osoroi-XXXXXX") || exit 0
printf '#!/bin/sh\nexit 0\n' >"$program" && chmod +x "$program" && "$program" 2>/dev/null && echo "$folder"
rm -f "$program"
exit 0
