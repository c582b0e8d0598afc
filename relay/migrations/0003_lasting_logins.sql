-- How long a login may go unused: 15 minutes in a browser, longer where the command line keeps it in a file.
ALTER TABLE logins ADD COLUMN idle_secs INTEGER NOT NULL DEFAULT 900;
