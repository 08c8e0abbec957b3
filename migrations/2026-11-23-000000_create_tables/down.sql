DROP VIEW stories;
DROP TABLE runs;
DROP TABLE coverage;
DROP TABLE lists;
DROP TABLE failures;
DROP TABLE absent;
DROP TABLE items;
