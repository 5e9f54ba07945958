SET LOCAL pipeline = 'x';
SET pipeline TO DEFAULT;
RESET pipeline;
SET pipeline = a, b;
