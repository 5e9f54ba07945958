SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '${HOST', port '${}', dbname '${1X}', "user" '${A-b}');
