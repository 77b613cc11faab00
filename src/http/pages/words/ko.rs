//! Korean.

use super::{Door, Language, Live, Told, Wait, Words};

pub(super) const WORDS: Words = Words {
    language: Language::Ko,
    languages: "언어",
    door: Door {
        username: "아이디",
        password: "비밀번호",
        enter: "줄 서기",
        again: "다시 줄 서기",
        bad_credentials: "아이디 또는 비밀번호가 맞지 않습니다.",
        limited: "로그인 시도가 너무 많았습니다. 잠시 뒤에 다시 해 주세요.",
        closed: "지금은 대기열에 들어갈 수 없습니다.",
        full: "대기열이 가득 찼습니다. 잠시 뒤에 다시 해 주세요.",
        failed: "지금은 처리할 수 없습니다. 이미 받은 순번은 유지됩니다. 잠시 뒤에 다시 해 주세요.",
    },
    wait: Wait {
        door: Told { heading: "대기열에 들어가기", text: "로그인하면 바로 순번을 받습니다." },
        soon: Told {
            heading: "아직 열리지 않았습니다", text: "지금 로그인하면 여는 시각에 순번이 이어집니다."
        },
        scheduled: Told {
            heading: "여는 시각을 기다리고 있습니다",
            text: "자리가 잡혔습니다. 이 페이지를 열어 두면 여는 시각에 순서대로 입장합니다.",
        },
        verifying: Told {
            heading: "로그인을 확인하고 있습니다",
            text: "순번은 이미 받았습니다. 확인하는 동안에도 그대로 유지됩니다.",
        },
        waiting: Told {
            heading: "줄을 서 있습니다", text: "차례가 되면 이 페이지에서 알려 드립니다."
        },
        almost: Told {
            heading: "곧 차례입니다", text: "차례가 되면 바로 입장할 수 있도록 이 창을 열어 두세요."
        },
        admitted: Told {
            heading: "입장할 차례입니다",
            text: "아래 단추로 입장하세요. 들어가지 않으면 다음 분에게 차례가 넘어갑니다.",
        },
        paused: Told {
            heading: "입장이 잠시 멈췄습니다",
            text: "순번은 그대로 유지됩니다. 다시 시작되면 이 페이지가 이어서 안내합니다.",
        },
        full: Told {
            heading: "대기열이 가득 찼습니다", text: "지금은 더 설 수 없습니다. 잠시 뒤에 다시 해 주세요."
        },
        soldout: Told {
            heading: "모두 판매되었습니다",
            text: "남은 좌석이 없습니다. 더 기다리셔도 살 수 있는 좌석이 없습니다.",
        },
        closed: Told { heading: "닫혔습니다", text: "지금은 아무도 입장하지 않습니다." },
        expired: Told {
            heading: "순번이 끝났습니다",
            text: "차례가 왔을 때 연결이 없었거나 이용 시간이 끝났습니다. 다시 서면 줄의 끝에서 시작합니다.",
        },
        left: Told {
            heading: "대기열에서 나왔습니다", text: "다시 서면 줄의 끝에서 시작합니다."
        },
        recovering: Told {
            heading: "대기열을 되살리고 있습니다",
            text: "순번은 유지됩니다. 보통 15초 안에 순번이 다시 보입니다.",
        },
        unavailable: Told {
            heading: "지금은 순번을 확인할 수 없습니다",
            text: "순번은 유지됩니다. 이 페이지가 스스로 다시 확인합니다.",
        },
        title: "{n}번째 · {room}",
        turn: "★ 입장할 차례 · {room}",
        ahead: "내 앞에",
        people: "명",
        behind: "내 뒤에",
        time: "예상 대기 시간",
        number: "받은 번호",
        answered: "마지막 확인",
        progress: "처음 순번부터 지금까지",
        unknown: "계산 중",
        under_a_minute: "1분 이내",
        about_minutes: "약 {a}분",
        minutes: "{a}~{b}분",
        hours: "{a}~{b}시간",
        kept: "새로고침하거나 창을 닫아도 5분 안에 돌아오면 순번이 유지됩니다. 여러 창·기기로 접속해도 순번이 빨라지지 않습니다.",
        message: "안내",
        opens: "여는 시각",
        first_come: "순번은 먼저 온 순서대로 드립니다.",
        until: "이 시각까지 이용할 수 있습니다",
        go: "입장하기",
        go_back: "입장했습니다. 오셨던 페이지로 돌아가 이어서 이용하세요.",
        stay: "자동 입장 멈추기",
        look: "지금 확인하기",
        leave: "대기열에서 나가기",
        leave_means: "나가면 순번이 사라지고, 다시 서면 줄의 끝에서 시작합니다.",
        leave_now: "나가기",
        undo: "취소하고 계속 기다리기",
        notify: "차례가 되면 소리와 알림으로 알려 주기",
        support: "문의할 때 알려 주실 코드",
        copy: "복사",
        questions: "자주 묻는 질문",
        answers: [
            (
                "새로고침해도 되나요?",
                "네. 순번은 서버에 있어서 새로고침해도 바뀌지 않습니다. 누르지 않아도 스스로 새로 고칩니다.",
            ),
            (
                "여러 창이나 기기로 들어오면 빨라지나요?",
                "아니요. 한 계정에는 순번이 하나입니다. 모든 창에 같은 순번이 보입니다.",
            ),
            (
                "순번이 갑자기 줄었어요.",
                "앞에 있던 분들이 나갔거나 자리를 비웠기 때문입니다. 순번이 뒤로 밀리는 일은 없습니다.",
            ),
            (
                "창을 닫으면 어떻게 되나요?",
                "5분 안에 돌아오면 같은 순번입니다. 차례가 왔을 때 자리에 없으면 잠시 뒤로 비켜 두었다가 돌아오면 이어집니다.",
            ),
        ],
        live: Live {
            unknown: "계산 중",
            offline: "인터넷 연결이 끊겼습니다. 마지막으로 확인한 내용입니다. 연결되면 이어집니다.",
            stale: "한동안 새 답을 받지 못했습니다. 마지막으로 확인한 내용이며, 순번은 유지됩니다.",
            failed: "서버가 잠시 답하지 않습니다. 마지막으로 확인한 내용이며, 다시 확인하고 있습니다.",
            grew: "입장 속도가 느려져 예상 시간이 늘었습니다. 순번은 그대로입니다.",
            stepping: "{s}초 뒤 자동으로 입장합니다.",
            leaving: "{s}초 뒤 대기열에서 나갑니다.",
            copied: "복사했습니다.",
            notified: "차례가 되면 소리와 알림으로 알려 드립니다.",
            say: "앞에 {n}명 있습니다.",
            days: "{n}일",
        },
    },
};
