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

# Reads samples; says for each: cores used in the mean, cores used in the busiest ten seconds, the most memory. Samples
# before the run itself (k6 reads its scripts then) and after the end of k6 do not count.
digest_samples() {
    awk -v run_seconds="$1" '
        $2 < at[n, 2] { exit }
        { n++; for (i = 1; i <= NF; i++) at[n, i] = $i }
        function used(column, from, to) {
            return at[to, 1] > at[from, 1] ? (at[to, column] - at[from, column]) / (at[to, 1] - at[from, 1]) : 0
        }
        END {
            first = 1
            while (first < n - 1 && at[first, 1] < at[n, 1] - run_seconds) first++
            split("k6 service redis postgres others", name, " ")
            for (column = 2; column <= 6; column++) {
                busiest = 0
                from = first
                for (to = first + 1; to <= n; to++) {
                    while (at[to, 1] - at[from + 1, 1] >= 10) from++
                    if (at[to, 1] - at[from, 1] >= 9 && used(column, from, to) > busiest) busiest = used(column, from, to)
                }
                if (!busiest) busiest = used(column, first, n)
                most = 0
                for (to = first; to <= n; to++) if (at[to, column + 4] > most) most = at[to, column + 4]
                printf "%s %.2f %.2f %s\n", name[column - 1], used(column, first, n), busiest,
                    (column == 3 || column == 4) ? most : "-"
            }
        }' "$2"
}
