DROP TRIGGER keep_history;
DROP TABLE item_history;
