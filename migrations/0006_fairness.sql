-- What was seen of a line's fairness, for the report after a sale. Metrics are forgotten when a process ends; this is not.

-- One row is one hour of one room's epoch, as all processes saw it together. Every process adds what it saw some seconds after it
-- did, so a process that is killed takes its last seconds along.
create table fairness (
    room text not null,
    epoch bigint not null,
    hour timestamptz not null,
    -- How often the head of the line was compared with who was let in since; so many admissions were judged by it, and so
    -- many of them overtook someone who was there. Each process judges for itself.
    looks bigint not null,
    judged bigint not null,
    overtaken bigint not null,
    overtaken_most bigint not null,
    -- The counters of the room in this epoch, as they stood when they were seen last in this hour.
    joined bigint not null,
    admitted bigint not null,
    passed_over bigint not null,
    ended bigint not null,
    over_admitted bigint not null,
    -- How many waited how long, in steps that grow by a tenth (src/queue/fairness/waits.rs).
    waits bigint[] not null,
    -- Of those who were told a waiting time when they came: how many, and how many came in within the p90 told.
    told bigint not null,
    kept bigint not null,
    constraint fairness_pkey primary key (room, epoch, hour)
);
