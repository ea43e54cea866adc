import { testFaults } from './fault-test.ts';

testFaults('etcd');
