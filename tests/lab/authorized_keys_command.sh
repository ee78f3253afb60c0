#!/bin/sh
# AuthorizedKeysCommand of the lab's instances, in place of EC2's own agent: prints the keys that were
# pushed to this instance and login, have not expired and have the offered fingerprint.
# sshd runs it once when a key is offered and once more when that key signs; CALLS counts both.
#
# AHEAD is by how many seconds the instance's clock is wrong; keys are served by that clock.
#
# usage: authorized_keys_command.sh KEYS CALLS INSTANCE LOGIN FINGERPRINT [AHEAD]
keys=$1 calls=$2 instance=$3 login=$4 fingerprint=$5 ahead=${6:-0}
echo "$login $fingerprint" >>"$calls"
[ -r "$keys/$instance/$login" ] || exit 0
now=$(($(date +%s) + ahead))
while read -r expiry request_id key; do
    [ "$expiry" -gt "$now" ] || continue
    offered=$(printf '%s\n' "$key" | ssh-keygen -lf - 2>/dev/null | cut -d' ' -f2)
    [ "$offered" = "$fingerprint" ] && printf '%s\n' "$key"
done <"$keys/$instance/$login"
exit 0
