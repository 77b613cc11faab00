-- From when a performance is on sale no more; none for one whose sale has no end of its own.
alter table schedules add column sale_ends_at timestamptz;
