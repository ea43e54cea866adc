CREATE TABLE `resources` (
	`id` integer PRIMARY KEY NOT NULL,
	`title` text NOT NULL,
	`text` text NOT NULL,
	`downloaded_in` text NOT NULL,
	`words` integer,
	`counted_in` text
);
