SET pipeline = 'test';
CREATE 04𬺫 TABLE;
