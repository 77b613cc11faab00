-- When an epoch was raised. Whoever raised it sets Redis up within a moment; for that long nobody else raises it again.
-- After that they do, since whoever it was has died.
alter table rooms add column epoch_raised_at timestamptz;
alter table schedules add column epoch_raised_at timestamptz;
