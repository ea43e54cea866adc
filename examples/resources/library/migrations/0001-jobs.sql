CREATE TABLE `jobs` (
	`id` integer PRIMARY KEY NOT NULL,
	`queue` text NOT NULL,
	`data` text NOT NULL,
	`run_at` integer NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`done_at` integer,
	`error` text
);
--> statement-breakpoint
CREATE INDEX `jobs_waiting` ON `jobs` (`queue`, `run_at`) WHERE `done_at` IS NULL;
