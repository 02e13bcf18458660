#!/usr/bin/env bash
# install_packages.sh PACKAGE…: everything of ./dev that needs root, and nothing else.
# Installs from the package sources this system already has. Servers among the packages are neither
# started now nor enabled for the next boot: Lovage starts its own copies, when it needs them.
# Standard output gets apt's status lines, standard error the rest.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
saved_policy=$policy.saved-by-lovage
guard_mark="Written by Lovage for the length of one apt-get run."

# Debian's maintainer scripts ask policy-rc.d before they start a service; 101 means "no".
forbid_service_starts() {
    # A run that was killed may have left its guard behind.
    ! grep -qs "$guard_mark" $policy || rm $policy
    [ ! -e $saved_policy ] || mv -f $saved_policy $policy
    if [ -x $policy ]; then
        local answer=0
        $policy lovage start >/dev/null 2>&1 || answer=$?
        [ $answer -ne 101 ] || return 0
        mv $policy $saved_policy
    fi
    trap allow_service_starts EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\n# %s\nexit 101\n' "$guard_mark" >$policy
    chmod 755 $policy
}

allow_service_starts() {
    rm -f $policy
    [ ! -e $saved_policy ] || mv $saved_policy $policy
}

# Packages that bring a server, and its units. Only these are kept off at boot: what else the packages enable
# (cron, say) is the system's.
declare -A units_of=(
    [rabbitmq-server]=rabbitmq-server.service
    [erlang-base]="epmd.service epmd.socket"
    [redis-server]=redis-server.service
    [postgresql-common]=postgresql.service
)

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed'; }

# keep_off_at_boot PACKAGE
keep_off_at_boot() {
    local unit
    local -a units
    read -ra units <<<"${units_of[$1]}"
    ! command -v systemctl >/dev/null || systemctl --quiet --no-reload disable "${units[@]}"
    for unit in "${units[@]}"; do
        # A system that has no systemd yet may get it later.
        rm -f "/etc/systemd/system/"*.wants/"$unit"
        unit=${unit%.*}
        [ ! -e "/etc/init.d/$unit" ] || update-rc.d "$unit" disable
    done
}

# apt-get makes the status pipe non-blocking;
# a maintainer script that shared it would fail in the middle of an `echo`.
exec 3>&1 1>&2
apt_get() {
    apt-get -q -y -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

forbid_service_starts
new_servers=()
for package in "${!units_of[@]}"; do
    installed "$package" || new_servers+=("$package")
done
# The same run may have left packages unpacked that are not configured.
dpkg --configure -a
apt_get update
apt_get install --no-install-recommends "$@"
for package in "${new_servers[@]}"; do
    ! installed "$package" || keep_off_at_boot "$package"
done
