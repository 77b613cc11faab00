# Reads the samples of k6 as CSV while they come, and leaves a line for each second of each request and each metric:
#
#   r  second  request  count  wrong  sum of ms  longest ms  bin:count,…      a bin is a tenth wider than the one before
#   m  second  metric   mean
#
# A quarter of an hour of a thousand users is gigabytes as CSV and a megabyte like this, and bins of any seconds can be added.

BEGIN {
    FS = ","
    OFS = "\t"
    # Metrics of ours that are shown over time.
    split("vus users waited cpu_share memory_share connections_share service_memory_mb redis_memory_mb connections_used" \
        " open_files redis_clients postgres_backends queue_waiting visits_active postgres_transactions", shown, " ")
    for (i in shown) kept[shown[i]] = 1
}
# Every ten seconds a line for whoever looks on.
function tell(second) {
    printf "%3d:%02d  %5d users %7.1f requests/s  mean %7.1f ms  %d errors\n", (second - first) / 60, (second - first) % 60,
        users, told_count / (second - told), told_count ? told_sum / told_count : 0, told_wrong >"/dev/stderr"
    told = second
    told_count = told_sum = told_wrong = 0
}
FNR == 1 {
    for (i = 1; i <= NF; i++) if ($i == "name") name_column = i
    next
}
$1 == "users" { arriving = 1 }
$1 == "users" || $1 == "vus" && !arriving { users = $3 }
$1 == "http_req_duration" {
    if (!first) first = told = $2
    if ($2 >= told + 10) tell($2)
    told_count++
    told_sum += $3
    at = $2 SUBSEP $name_column
    ms = $3
    count[at]++
    sum[at] += ms
    if (ms > longest[at]) longest[at] = ms
    bin = ms > 0.1 ? int(log(ms / 0.1) / log(1.1)) : 0
    if (!((at, bin) in bins)) filled[at] = filled[at] " " bin
    bins[at, bin]++
    next
}
$1 == "http_req_failed" && $3 > 0 { failed[$2 SUBSEP $name_column] += $3; next }
$1 == "errors" && $3 > 0 { told_wrong++ }
$1 == "errors" { judged[$name_column] = 1; wrong[$2 SUBSEP $name_column] += $3; next }
$1 in kept { values[$2 SUBSEP $1] += $3; looks[$2 SUBSEP $1]++ }
END {
    for (at in count) {
        split(at, part, SUBSEP)
        n = split(filled[at], list, " ")
        text = ""
        for (i = 1; i <= n; i++) text = text (i > 1 ? "," : "") list[i] ":" bins[at, list[i]]
        # Where a test does not tell of which request an error is, as adr, what k6 takes as failed counts.
        errors = part[2] in judged ? wrong[at] : failed[at]
        printf "r\t%s\t%s\t%d\t%d\t%.3f\t%.3f\t%s\n", part[1], part[2], count[at], errors, sum[at], longest[at], text
    }
    for (at in values) {
        split(at, part, SUBSEP)
        printf "m\t%s\t%s\t%.4f\n", part[1], part[2], values[at] / looks[at]
    }
}
