import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const resources = sqliteTable('resources', {
  id: integer().primaryKey(),
  title: text().notNull(),
  text: text().notNull(),
  downloaded_in: text().notNull(),
  words: integer(),
  counted_in: text(),
});

export type Resource = typeof resources.$inferSelect;
