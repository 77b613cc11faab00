// The plan's own script: its stages, its goals and its default function as they stand there. Only where the service is and
// with which token comes from the environment; `--vus` and `--duration` of k6 take the place of the stages.
//
// One account, one seat and one reservation for all users, as the plan has it: it shows that answers stay fast when
// everybody asks the same, not that a seat is sold once. For that there is contention.js.

import http from 'k6/http';
import { sleep, check } from 'k6';
import { Rate } from 'k6/metrics';
import { STATS } from './lib/goals.js';
import { verdict } from './lib/summary.js';

const errorRate = new Rate('errors');

const BASE_URL = __ENV.BASE_URL;
const TOKEN = __ENV.TOKEN;

/** The requests, which the plan does not name: k6 names them by their address. */
const REQUESTS = {
  token: `${BASE_URL}/auth/token`,
  dates: `${BASE_URL}/reservations/available/dates`,
  seats: `${BASE_URL}/reservations/available/seat?scheduleId=12345&userId=testuser`,
  reserve: `${BASE_URL}/reservations`,
  balance: `${BASE_URL}/points/balance`,
  charge: `${BASE_URL}/points/charge`,
  pay: `${BASE_URL}/reservations/pay`,
};

export const options = {
  stages: [
    { duration: '2m', target: 100 },
    { duration: '5m', target: 500 },
    { duration: '2m', target: 1000 },
    { duration: '5m', target: 500 },
    { duration: '2m', target: 0 },
  ],
  summaryTrendStats: STATS,
  thresholds: {
    http_req_duration: ['p(95)<500'],
    errors: ['rate<0.01'],
    // The plan's goals for each request, and that every check passes: `errors` counts failures only.
    checks: ['rate==1'],
    http_req_failed: ['rate<0.001'],
    ...Object.fromEntries(
      Object.values(REQUESTS).flatMap((name) => [
        [`http_reqs{name:${name}}`, ['count>0']],
        [`http_req_duration{name:${name}}`, ['avg<500', 'p(95)<500']],
        [`http_req_failed{name:${name}}`, ['rate<0.001']],
      ]),
    ),
  },
};

export default function () {
  // 1. 유저 토큰 발급
  let tokenRes = http.post(`${BASE_URL}/auth/token`, JSON.stringify({
    username: 'testuser',
    password: 'testpass',
  }), {
    headers: { 'Content-Type': 'application/json' },
  });
  check(tokenRes, {
    'Token issued': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 2. 예약 가능 날짜 조회
  let datesRes = http.get(`${BASE_URL}/reservations/available/dates`, {
    headers: { Authorization: TOKEN },
  });
  check(datesRes, {
    'Dates fetched': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 3. 예약 가능 좌석 조회
  let scheduleId = '12345'; // 테스트용 스케줄 ID
  let seatsRes = http.get(`${BASE_URL}/reservations/available/seat?scheduleId=${scheduleId}&userId=testuser`, {
    headers: { Authorization: TOKEN },
  });
  check(seatsRes, {
    'Seats fetched': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 4. 좌석 예약 요청
  let reserveRes = http.post(`${BASE_URL}/reservations`, JSON.stringify({
    scheduleId: scheduleId,
    seatId: 'A1',
    userId: 'testuser',
  }), {
    headers: { Authorization: TOKEN, 'Content-Type': 'application/json' },
  });
  check(reserveRes, {
    'Reservation successful': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 5. 잔액 조회
  let balanceRes = http.get(`${BASE_URL}/points/balance`, {
    headers: { Authorization: TOKEN },
  });
  check(balanceRes, {
    'Balance fetched': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 6. 잔액 충전 (필요 시)
  let chargeRes = http.post(`${BASE_URL}/points/charge`, JSON.stringify({
    userId: 'testuser',
    amount: 10000,
  }), {
    headers: { Authorization: TOKEN, 'Content-Type': 'application/json' },
  });
  check(chargeRes, {
    'Points charged': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 7. 결제
  let payRes = http.post(`${BASE_URL}/reservations/pay`, JSON.stringify({
    reservationId: 'res123',
    amount: 5000,
  }), {
    headers: { Authorization: TOKEN, 'Content-Type': 'application/json' },
  });
  check(payRes, {
    'Payment successful': (r) => r.status === 200,
  }) || errorRate.add(1);

  // 요청 간 지연 시간 추가
  sleep(1);
}

export const handleSummary = verdict('adr', REQUESTS);
