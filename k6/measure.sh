# What the machine did during a run: sampled once a second from /proc, so on Linux only. Sourced by k6/run.
#
# A line of the file has the time in seconds, the CPU seconds so far of k6, the service, Redis, Postgres and all others
# (what a virtual machine was not given included), and the resident megabytes of the service and of Redis.

# Postgres is its first process with its children, those that ended included.
sample() {
    local k6=$1 service=$2 redis=$3 postgres=$4
    # Processes that end meanwhile are no matter.
    { cat /proc/stat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v now="$EPOCHREALTIME" -v k6="$k6" -v service="$service" -v redis="$redis" \
        -v postgres="$postgres" -v tick="$CLOCK_TICK" -v page="$PAGE_SIZE" '
        $1 == "cpu" { all = ($2 + $3 + $4 + $7 + $8 + $9) / tick }
        $1 ~ /^[0-9]+$/ {
            pid = $1
            # The name in parentheses may have blanks in it.
            sub(/^.*\) /, "")
            used = ($12 + $13) / tick
            if (pid == k6) cpu["k6"] += used
            if (pid == service) { cpu["service"] += used; resident["service"] = $22 * page / 1048576 }
            if (pid == redis) { cpu["redis"] += used; resident["redis"] = $22 * page / 1048576 }
            if (pid == postgres) cpu["postgres"] += used + ($14 + $15) / tick
            if ($2 == postgres) cpu["postgres"] += used
        }
        END {
            others = all - cpu["k6"] - cpu["service"] - cpu["redis"] - cpu["postgres"]
            printf "%s %.2f %.2f %.2f %.2f %.2f %.0f %.0f\n", now, cpu["k6"], cpu["service"], cpu["redis"],
                cpu["postgres"], others, resident["service"], resident["redis"]
        }'
}

# Samples until it is ended.
keep_sampling() {
    CLOCK_TICK=$(getconf CLK_TCK)
    PAGE_SIZE=$(getconf PAGESIZE)
    while sample "$@"; do sleep 1; done
}
