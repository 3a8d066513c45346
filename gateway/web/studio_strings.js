/** Strings of the broadcast page: [Chinese, English]. */

export const STUDIO = {
  "studio.title": ["手机 / 电脑直接开播", "Broadcast from this device"],
  "studio.console": ["工作台", "Console"],
  "studio.camera": ["摄像头", "Camera"],
  "studio.microphone": ["麦克风", "Microphone"],
  "studio.go": ["开始直播", "Go live"],
  "studio.stop": ["结束直播", "End the broadcast"],
  "studio.connecting": ["正在连接…", "Connecting…"],
  "studio.again": ["连接断开，正在重连…", "The connection was lost, trying again…"],
  "studio.on": ["直播中", "You are live"],
  "studio.ready": ["准备好了就开播", "Ready when you are"],
  "studio.taken": ["这个直播间正由别的设备直播，等它结束…", "Another device is live in this room, waiting for it to end…"],
  "studio.sending": ["{size} · {fps} 帧/秒 · {rate} Mbps · 往返 {rtt} ms", "{size} · {fps} fps · {rate} Mbps · round trip {rtt} ms"],
  "studio.denied": [
    "浏览器没有给出摄像头或麦克风：请在地址栏的权限里允许",
    "The browser gives no camera or microphone: allow them beside the address",
  ],
  "studio.insecure": [
    "只有 HTTPS（或本机）页面能用摄像头：请用 https:// 打开",
    "Only pages of HTTPS (or of this machine) may use the camera: open it by https://",
  ],
};
